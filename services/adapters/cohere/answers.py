"""Bodies of Cohere's v2 chat and embed as our answers."""

from typing import Any

from contracts.content import ChatMessageV1, Part, ReasoningPart, TextPart, ToolCallPart
from contracts.outcome import FinishReason, UsageV1
from contracts.request import EmbedRequestV1

from ..protocol import Answer, Body, Failure
from ..reading import count_or_none, objects_in, text_or_none, tool_call_part
from ..vectors import embedded
from .errors import failure_in_body
from .turns import CITATIONS, PLAN

FINISH_REASONS: dict[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool_call",
    "ERROR_TOXIC": "content_filter",
}
"""All others mean that the model did not come to a proper end: ERROR, TIMEOUT, USER_CANCEL."""


def chat_answer(body: Any) -> Answer | Failure:
    """The body of a 200 to `POST /v2/chat`."""
    if not isinstance(body, dict):
        return unreadable("is not a JSON object")
    message = body.get("message")
    if not isinstance(message, dict):
        return failure_in_body(body) if isinstance(message, str) else unreadable("has no message")
    return answer_of(_parts(message), message.get(CITATIONS), body)


def unreadable(why: str) -> Failure:
    """A 200 that says nothing we understand; it may have been billed."""
    return Failure("unavailable", f"the provider's answer {why}; check that base_url ends before /v2/chat")


def answer_of(parts: list[Part], citations: Any, body: Body) -> Answer:
    """The answer that these parts make, with what is told beside them."""
    return Answer(
        message=ChatMessageV1(role="assistant", parts=_cited(parts, citations) or (TextPart(content=""),)),
        finish_reason=finish_of(body.get("finish_reason"), called=any(isinstance(part, ToolCallPart) for part in parts)),
        usage=usage_of(body.get("usage")),
        response_id=text_or_none(body.get("id")),
    )


def finish_of(reason: Any, *, called: bool) -> FinishReason:
    """Why the model stopped. A forced call may end with COMPLETE."""
    known = FINISH_REASONS.get(reason, "error") if isinstance(reason, str) else "stop"
    return "tool_call" if called and known == "stop" else known


def _parts(message: Body) -> list[Part]:
    """The plan, thinking and text in their order, the calls."""
    parts: list[Part] = [plan_part(plan)] if (plan := text_or_none(message.get(PLAN))) else []
    content = message.get("content")
    for block in [{"type": "text", "text": content}] if isinstance(content, str) else objects_in(content):
        if (thought := text_or_none(block.get("thinking"))) is not None:
            parts.append(ReasoningPart(content=thought))
        elif (text := text_or_none(block.get("text"))) is not None:
            parts.append(TextPart(content=text))
    for index, call in enumerate(objects_in(message.get("tool_calls"))):
        function = call.get("function")
        named = function if isinstance(function, dict) else {}
        parts.append(tool_call_part(call.get("id"), index, named.get("name"), named.get("arguments")))
    return parts


def plan_part(plan: str) -> ReasoningPart:
    """What the model wrote of what it is about to call."""
    return ReasoningPart(content=plan, provider_data={PLAN: True})


def _cited(parts: list[Part], citations: Any) -> tuple[Part, ...]:
    """Citations belong to the first text; where there is none, to the first part."""
    found = objects_in(citations)
    if not found or not parts:
        return tuple(parts)
    at = next((at for at, part in enumerate(parts) if isinstance(part, TextPart)), 0)
    cited = parts[at].model_copy(update={"provider_data": {**(parts[at].provider_data or {}), CITATIONS: found}})
    return (*parts[:at], cited, *parts[at + 1 :])


def usage_of(usage: Any) -> UsageV1:
    """Tokens as billed: `billed_units` leaves out what Cohere itself puts around a prompt. `cached_tokens` counts that, too: it is no part of them."""
    billed, counted = _counts(usage, "billed_units"), _counts(usage, "tokens")
    return UsageV1(
        input_tokens=_first(billed.get("input_tokens"), counted.get("input_tokens")),
        output_tokens=_first(billed.get("output_tokens"), counted.get("output_tokens")),
        reasoning_tokens=count_or_none(counted.get("reasoning_tokens")),
    )


def _counts(usage: Any, name: str) -> Body:
    counts = usage.get(name) if isinstance(usage, dict) else None
    return counts if isinstance(counts, dict) else {}


def _first(*values: Any) -> int | None:
    return next((count for count in map(count_or_none, values) if count is not None), None)


def embed_answer(body: Any, request: EmbedRequestV1) -> Answer | Failure:
    """The body of a 200 to `POST /v2/embed`."""
    if not isinstance(body, dict):
        return unreadable("is not a JSON object")
    found = body.get("embeddings")
    vectors = found.get("float", found.get("base64")) if isinstance(found, dict) else None
    if not isinstance(vectors, list):
        return failure_in_body(body) if text_or_none(body.get("message")) else unreadable("has no embeddings")
    return embedded(vectors, request, UsageV1(input_tokens=count_or_none(_counts(body.get("meta"), "billed_units").get("input_tokens")), output_tokens=0))
