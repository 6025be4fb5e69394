"""The demo's requests and the outcome that each must have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contracts.result import ResultV1

MAX_TOKENS = 40
TIMEOUT_S = 90

CONFIGURATION = """\
version: 2
providers:
  - id: local            # a real small model, started by `headrace up`
    type: local
    base_url: ${HEADRACE_LOCAL_URL}
    max_in_flight: 4
    models: [{id: smollm2, context_window: 2048}, {id: wordllama, dimensions: 256}]
  - id: dead             # nobody listens there
    type: vllm
    base_url: ${DEMO_DEAD_URL}
    models: [{id: gone}]
  - id: priced           # answers a recorded body, so that money appears
    type: openai
    base_url: ${DEMO_PRICED_URL}
    api_key: ${DEMO_KEY}
    models: [{id: gpt-4o-mini}]
routes:
  default: {candidates: [local/smollm2]}
  embedding: {candidates: [local/wordllama]}
  failover: {candidates: [dead/gone, local/smollm2]}
"""

PLAN_SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["red", "green", "blue"]}, "count": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Case:
    """One request and what must come of it; `holds` says more than the status can."""

    id: str
    shows: str
    body: dict[str, Any]
    status: str = "succeeded"
    holds: Callable[[ResultV1], bool] = lambda result: True


def chat(text: str, system: str | None = None, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": system}] if system else []
    sampling = {"max_output_tokens": MAX_TOKENS, "temperature": 0.2, "seed": 7}
    return {"messages": [*messages, {"role": "user", "content": text}], "sampling": sampling, "timeout_s": TIMEOUT_S, **fields}


def said_something(result: ResultV1) -> bool:
    return result.message is not None and any(part.type == "text" and part.content.strip() for part in result.message.all_parts())


def by_local(result: ResultV1) -> bool:
    return said_something(result) and (result.provider, result.model) == ("local", "smollm2") and (result.usage.output_tokens or 0) > 0


def fits_schema(result: ResultV1) -> bool:
    parsed = result.parsed
    return isinstance(parsed, dict) and parsed.get("colour") in ("red", "green", "blue") and isinstance(parsed.get("count"), int)


def embedded(result: ResultV1) -> bool:
    return result.embeddings is not None and [len(vector) for vector in result.embeddings] == [256, 256]


def failed_over(result: ResultV1) -> bool:
    outcomes = [(one.provider, one.outcome) for one in result.attempts]
    return outcomes[:1] == [("dead", "unavailable")] and outcomes[-1] == ("local", "answered")


def has_error(error_type: str, field: str | None = None) -> Callable[[ResultV1], bool]:
    return lambda result: result.error is not None and result.error.type == error_type and field in (None, result.error.field) and not result.attempts


TURNS = [
    {"role": "user", "content": "My name is Ada."},
    {"role": "assistant", "content": "Nice to meet you, Ada."},
    {"role": "user", "content": "Write one sentence with my name."},
]

PRICED = "priced/gpt-4o-mini"
PAST = {**chat("Hi", deadline="2020-01-01T00:00:00Z"), "timeout_s": None}

CASES = [
    Case("plain", "a question on the default route", chat("What is the capital of France?"), holds=by_local),
    Case("system", "a system prompt", chat("What is the sea?", "Answer in one short sentence."), holds=by_local),
    Case("pirate", "another system prompt", chat("Who are you?", "You are a pirate. Be brief."), holds=by_local),
    Case("turns", "a conversation of three turns", {**chat(""), "messages": TURNS}, holds=by_local),
    Case("parts", "content in parts", {**chat(""), "messages": [{"role": "user", "parts": [{"type": "text", "content": "Name a fruit."}]}]}, holds=by_local),
    Case(
        "schema",
        "JSON under a schema",
        chat("Choose a colour and a number.", output={"name": "choice", "json_schema": PLAN_SCHEMA, "max_repairs": 2}),
        holds=fits_schema,
    ),
    Case("embedding", "two embeddings", {"route": "embedding", "input": ["a cat", "a dog"], "timeout_s": TIMEOUT_S}, holds=embedded),
    Case("pinned", "a pinned model", chat("Say yes.", model="local/smollm2"), holds=by_local),
    Case("failover", "a dead provider, then the next", chat("Say hello.", route="failover"), holds=failed_over),
    Case("bulk", "the bulk lane", chat("Name a tree.", lane="bulk"), holds=lambda result: by_local(result) and result.lane == "bulk"),
    Case("streamed", "an answer shown as it arrives", chat("Tell a very short story.", stream=True), holds=by_local),
    Case("priced", "a provider with a price", chat("What is NATS?", model=PRICED), holds=lambda result: (result.cost_usd or 0) > 0),
    Case("capped", "a cost limit below the estimate", chat("Hi", model=PRICED, max_cost_usd="0.00000001"), "refused", has_error("budget_exceeded")),
    Case("typo", "an unknown field", chat("Hi", temprature=1), "refused", has_error("invalid_request", "temprature")),
    Case("unknown", "a model that does not exist", chat("Hi", model="local/none"), "refused", has_error("no_candidate", "model")),
    Case("expired", "a deadline that has passed", PAST, "expired", has_error("deadline_exceeded")),
]
