// Headrace over a plain NATS connection: send a request, show its deltas, read its result.
import { readFileSync } from "node:fs";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { InOrder } from "./deltas.mjs";

const LOOK_AGAIN_MS = 5000; // a result may go by while the connection is away: look into the stream now and then
const PAGE = 256;

export class Headrace {
  static async over(connection, tenant, lane, schemaFile) {
    const headrace = new Headrace();
    const ajv = addFormats(new Ajv({ strict: false }));
    headrace.isValid = ajv.compile(JSON.parse(readFileSync(schemaFile, "utf8")));
    headrace.describe = () => ajv.errorsText(headrace.isValid.errors, { dataVar: "request" });
    headrace.connection = connection;
    headrace.streams = jetstream(connection);
    headrace.stored = (await jetstreamManager(connection, { checkAPI: false })).direct;
    headrace.subject = (what, id) => `llm.v1.${what}.${tenant}.${id}`;
    headrace.requests = `llm.v1.request.${tenant}.chat.${lane}`;
    return headrace;
  }

  // Throws before anything is sent when the schema forbids the request.
  check(request) {
    if (!this.isValid(request)) throw new Error(`not sent: ${this.describe()}`);
  }

  // Sends a request, awaits the ack that it is stored, and returns its id. With an id of its own it may be sent again: that changes nothing.
  async send(request) {
    const ack = await this.streams.publish(this.requests, JSON.stringify(request));
    return request.id ?? `seq-${ack.seq}`;
  }

  // The result: heard by a core subscription, or read by direct get where it came before.
  async result(id) {
    const subject = this.subject("result", id);
    const subscription = this.connection.subscribe(subject, { max: 1 });
    const heard = (async () => {
      for await (const message of subscription) return message.json();
    })();
    await this.connection.flush();
    try {
      for (;;) {
        const stored = await this.stored.getMessage("RESULTS", { last_by_subj: subject });
        const result = stored?.json() ?? (await within(LOOK_AGAIN_MS, heard));
        if (result) return result;
      }
    } finally {
      subscription.unsubscribe();
    }
  }

  // Shows a streamed answer while it comes, those pieces first that the stream DELTAS still holds; returns the result.
  async streamed(id, show) {
    const shown = new InOrder(show);
    const subscription = this.connection.subscribe(this.subject("delta", id));
    await this.connection.flush();
    const showing = (async () => {
      for (const delta of await this.storedDeltas(id)) shown.take(delta);
      for await (const message of subscription) shown.take(message.json());
    })();
    const result = await this.result(id);
    await subscription.drain();
    await showing;
    shown.finish(result);
    return result;
  }

  async storedDeltas(id) {
    const found = [];
    for (let seq = 1, page; page === undefined || page.length === PAGE; seq = found.at(-1)?.seq + 1) {
      page = await this.page("DELTAS", { seq, next_by_subj: this.subject("delta", id), batch: PAGE });
      found.push(...page);
    }
    return found.map((message) => message.json());
  }

  // Some messages by batched direct get; none where the server says 404.
  async page(stream, query) {
    const page = [];
    try {
      for await (const message of await this.stored.getBatch(stream, query)) page.push(message);
    } catch (error) {
      if (error.code !== 404) throw error;
    }
    return page;
  }
}

function within(milliseconds, promise) {
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, milliseconds)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
