"""Bodies of Ollama's own API as our answers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from contracts.content import ChatMessageV1, Part, ReasoningPart, TextPart, ToolCallPart
from contracts.outcome import FinishReason, UsageV1
from contracts.request import EmbedRequestV1

from ..openai.errors import failure_in_body
from ..protocol import Answer, Failure
from ..reading import count_or_none, text_or_none, tool_call_part
from ..vectors import embedded


def chat_answer(body: Any) -> Answer | Failure:
    """The body of a 200 to `POST /api/chat`."""
    if not isinstance(body, dict):
        return Failure("unavailable", "the provider's answer is not a JSON object; check that base_url ends before /api/chat")
    if body.get("error"):
        return failure_in_body(body["error"])
    message = body.get("message")
    if not isinstance(message, dict):
        return Failure("unavailable", "the provider's answer has no 'message'; check that base_url ends before /api/chat")
    parts: list[Part] = []
    if thought := text_or_none(message.get("thinking")):
        parts.append(ReasoningPart(content=thought))
    if text := text_or_none(message.get("content")):
        parts.append(TextPart(content=text))
    parts += [call_part(call, index) for index, call in enumerate(calls_in(message))]
    return answer_of(tuple(parts), body)


def answer_of(parts: tuple[Part, ...], last: Mapping[str, Any]) -> Answer:
    """The answer that these parts make; `last` is the object that says why the model stopped and what was used."""
    return Answer(
        message=ChatMessageV1(role="assistant", parts=parts or (TextPart(content=""),)),
        finish_reason=finish_of(last.get("done_reason"), called=any(isinstance(part, ToolCallPart) for part in parts)),
        usage=UsageV1(input_tokens=count_or_none(last.get("prompt_eval_count")), output_tokens=count_or_none(last.get("eval_count"))),
        response_model=text_or_none(last.get("model")),
    )


def finish_of(reason: Any, *, called: bool) -> FinishReason:
    if reason == "length":
        return "length"
    return "tool_call" if called else "stop"


def calls_in(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    calls = message.get("tool_calls")
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def call_part(call: Mapping[str, Any], index: int) -> ToolCallPart:
    """A call comes whole; older servers give it no id."""
    function = call.get("function")
    named = function if isinstance(function, dict) else {}
    return tool_call_part(call.get("id"), index, named.get("name"), named.get("arguments"))


def embed_answer(body: Any, request: EmbedRequestV1) -> Answer | Failure:
    """The body of a 200 to `POST /api/embed`."""
    if isinstance(body, dict) and body.get("error"):
        return failure_in_body(body["error"])
    vectors = body.get("embeddings") if isinstance(body, dict) else None
    if not isinstance(vectors, list):
        return Failure("unavailable", "the provider's answer has no list 'embeddings'")
    usage = UsageV1(input_tokens=count_or_none(body.get("prompt_eval_count")), output_tokens=0)
    outcome = embedded(vectors, request, usage)
    return replace(outcome, response_model=text_or_none(body.get("model"))) if isinstance(outcome, Answer) else outcome
