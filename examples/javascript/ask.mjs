// Ask a model through Headrace:  node ask.mjs plain|tools|stream TEXT   or   node ask.mjs resume
import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import { connect } from "@nats-io/transport-node";
import { Awaited } from "./awaited.mjs";
import { textOf } from "./deltas.mjs";
import { Headrace } from "./headrace.mjs";

const USAGE = "usage: node ask.mjs [--temperature T] plain|tools|stream TEXT   or   node ask.mjs resume";
const TOOLS = [
  {
    type: "function",
    name: "weather",
    description: "The weather in a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
];

// What the program does when the model asks for a tool. A real one would look it up.
const weather = ({ city }) => ({ city, sky: "clear", celsius: 21 });

const say = (facts) => process.stderr.write(`${JSON.stringify(facts)}\n`);

async function main() {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { temperature: { type: "string" } } });
  const [what, text] = positionals;
  if (what === "resume" ? text !== undefined : !["plain", "tools", "stream"].includes(what) || !text) {
    console.error(USAGE);
    return 2;
  }
  const environment = process.env;
  const awaited = new Awaited(environment.HEADRACE_AWAITED ?? "awaited.json");
  const connection = await connect({ servers: environment.HEADRACE_NATS ?? "nats://127.0.0.1:4222", maxReconnectAttempts: -1 });
  try {
    const schema = environment.HEADRACE_SCHEMA ?? new URL("../../contracts/schemas/request.chat.v1.json", import.meta.url);
    const headrace = await Headrace.over(connection, environment.HEADRACE_TENANT ?? "default", "interactive", schema);
    if (what !== "resume") return (await ask(headrace, awaited, requestFor(what, text, values.temperature))) ? 0 : 1;
    let well = true;
    for (const [id, { request, sent }] of Object.entries(awaited.entries)) {
      if (!sent) await sendNoted(headrace, awaited, id, request);
      well = (await finish(headrace, awaited, id, request)) && well;
    }
    return well ? 0 : 1;
  } finally {
    await connection.close();
  }
}

function requestFor(what, text, temperature) {
  const request = { messages: [{ role: "user", content: text }] };
  if (temperature !== undefined) request.sampling = { temperature: Number(temperature) };
  if (what === "tools") Object.assign(request, { id: `weather-${randomUUID()}`, tools: TOOLS });
  if (what === "stream") Object.assign(request, { id: `stream-${randomUUID()}`, stream: true });
  return request;
}

// A request without an id gets one from the publish ack. Between the two a kill leaves no trace: choose an id where that matters.
async function ask(headrace, awaited, request) {
  headrace.check(request);
  if (request.id !== undefined) {
    awaited.note(request.id, request, false);
    await sendNoted(headrace, awaited, request.id, request);
    return finish(headrace, awaited, request.id, request);
  }
  const id = await headrace.send(request);
  awaited.note(id, request, true);
  say({ sent: id });
  return finish(headrace, awaited, id, request);
}

async function sendNoted(headrace, awaited, id, request) {
  await headrace.send(request);
  awaited.note(id, request, true);
  say({ sent: id });
}

// Awaits the result, shows it, and follows up when the model asks for tools. Whether all went well.
async function finish(headrace, awaited, id, request) {
  const show = (text) => process.stdout.write(text);
  const result = request.stream ? await headrace.streamed(id, show) : await headrace.result(id);
  const calls = (result.message?.parts ?? []).filter((part) => part.type === "tool_call");
  if (result.status === "succeeded" && calls.length > 0) {
    calls.forEach((call) => say({ tool_call: call }));
    const next = followUp(id, request, result.message, calls);
    headrace.check(next);
    awaited.follow(id, next.id, next);
    await sendNoted(headrace, awaited, next.id, next);
    return finish(headrace, awaited, next.id, next);
  }
  if (!request.stream) show(`${textOf(result)}\n`);
  say({ id, status: result.status, finish_reason: result.finish_reason, cost_usd: result.cost_usd, error: result.error });
  awaited.forget(id);
  return result.status === "succeeded";
}

// The conversation so far, the model's turn as it stands in the result, and an answer to each of its tool calls.
function followUp(id, request, message, calls) {
  const answers = calls.map((call) => ({ type: "tool_call_response", id: call.id, response: weather(call.arguments) }));
  const [first, turn = "1"] = id.split("-turn");
  return { ...request, id: `${first}-turn${Number(turn) + 1}`, messages: [...request.messages, message, { role: "tool", parts: answers }] };
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
