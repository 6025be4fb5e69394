// A small file of what is awaited, so that a program that was killed goes on where it was.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

export class Awaited {
  constructor(file) {
    this.file = file;
    this.entries = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
  }

  // `sent: false` is written before a request is sent: after a kill nobody knows whether it was, and sending its id again is harmless.
  note(id, request, sent) {
    this.entries[id] = { request, sent };
    this.write();
  }

  // The next turn takes the place of the one that ended, in one step.
  follow(id, nextId, request) {
    delete this.entries[id];
    this.note(nextId, request, false);
  }

  forget(id) {
    delete this.entries[id];
    this.write();
  }

  write() {
    writeFileSync(`${this.file}.new`, JSON.stringify(this.entries, null, 2));
    renameSync(`${this.file}.new`, this.file);
  }
}
