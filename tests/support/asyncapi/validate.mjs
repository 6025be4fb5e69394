// What the official parser has to say of each document: a JSON line for each, an array of {severity, code, message, path}.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const severities = ["error", "warning", "information", "hint"];
const parser = new Parser();
for (const file of process.argv.slice(2)) {
  const { diagnostics } = await parser.parse(readFileSync(file, "utf8"));
  console.log(JSON.stringify(diagnostics.map(({ severity, code, message, path }) => ({ severity: severities[severity], code, message, path: path.join(".") }))));
}
