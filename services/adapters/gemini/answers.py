"""generateContent bodies as our answers."""

from typing import Any

from contracts.content import ChatMessageV1, Part, ServerToolCallPart, ServerToolCallResponsePart, TextPart, ToolCallPart
from contracts.outcome import FinishReason, UsageV1, WarningV1

from ..protocol import Answer, Body, Failure
from ..reading import count_or_none, objects_in, text_or_none
from .errors import failure_in_body
from .parts import ANNOTATION, incoming

FINISH_REASONS: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    **dict.fromkeys(("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"), "content_filter"),
    **dict.fromkeys(("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"), "content_filter"),
}
"""All others mean that the model did not come to a proper end: MALFORMED_FUNCTION_CALL, UNEXPECTED_TOOL_CALL, LANGUAGE, OTHER …"""
GROUNDS = (("web", "google_search"), ("retrievedContext", "file_search"), ("maps", "google_maps"))


def chat_answer(body: Any) -> Answer | Failure:
    """The body of a 200 to `:generateContent`."""
    if not isinstance(body, dict):
        return unreadable("is not a JSON object")
    if body.get("error"):
        return failure_in_body(body["error"])
    candidate = candidate_of(body)
    if candidate is None:
        return blocked(body.get("promptFeedback"), body.get("usageMetadata"))
    parts: list[Part] = []
    for wire in wire_parts(candidate):
        part = incoming(wire, invented_id(body.get("responseId"), parts))
        if part is not None:
            parts.append(part)
    return answer_of(parts, candidate, body)


def candidate_of(body: Body) -> Body | None:
    """The first candidate; more of them are nobody's."""
    candidates = body.get("candidates")
    return candidates[0] if isinstance(candidates, list) and candidates and isinstance(candidates[0], dict) else None


def wire_parts(candidate: Body) -> list[Body]:
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return objects_in(parts)


def invented_id(response_id: Any, parts: list[Part]) -> str:
    """Calls may come without an id; ours is unique in the conversation as the response's id is."""
    number = sum(isinstance(part, ToolCallPart) for part in parts)
    return f"call_{number}" if text_or_none(response_id) is None else f"call_{response_id}_{number}"


def unreadable(why: str) -> Failure:
    """A 200 that says nothing we understand; it may have been billed."""
    return Failure("unavailable", f"the provider's answer {why}; check that base_url ends before /models")


def blocked(feedback: Any, usage: Any) -> Failure:
    """No candidate: the prompt was refused, and promptFeedback says why."""
    reason = text_or_none(feedback.get("blockReason")) if isinstance(feedback, dict) else None
    if reason is None:
        return unreadable("has no candidates")
    told = text_or_none(feedback.get("blockReasonMessage"))
    return Failure("content_filtered", f"the prompt was blocked: {told or reason}", reason, usage=usage_of(usage))


def answer_of(parts: list[Part], candidate: Body, body: Body) -> Answer:
    """The answer of a candidate whose own parts have been read."""
    reason = candidate.get("finishReason")
    return Answer(
        message=ChatMessageV1(role="assistant", parts=_annotated(parts, candidate) or (TextPart(content=""),)),
        finish_reason=finish_of(reason, called=any(isinstance(part, ToolCallPart) for part in parts)),
        usage=usage_of(body.get("usageMetadata")),
        response_model=text_or_none(body.get("modelVersion")),
        response_id=text_or_none(body.get("responseId")),
        warnings=_warnings(reason, candidate.get("finishMessage")),
    )


def finish_of(reason: Any, *, called: bool) -> FinishReason:
    """Why the model stopped; a call ends with STOP on the wire."""
    known = FINISH_REASONS.get(reason, "error") if isinstance(reason, str) else "stop"
    return "tool_call" if called and known == "stop" else known


def _warnings(reason: Any, message: Any) -> tuple[WarningV1, ...]:
    """Google's own word for an end that is no proper one: ours is coarser."""
    if not isinstance(reason, str) or reason in ("STOP", "MAX_TOKENS"):
        return ()
    return (WarningV1(type="finish_reason", message=f"{reason}: {message}" if text_or_none(message) else reason),)


def _annotated(parts: list[Part], candidate: Body) -> tuple[Part, ...]:
    """What Google searched and read for the answer stands beside its parts; citations belong to its last text."""
    annotated = list(parts)
    if isinstance(citations := candidate.get("citationMetadata"), dict):
        at = max((at for at, part in enumerate(parts) if isinstance(part, TextPart)), default=None)
        if at is not None:
            annotated[at] = parts[at].model_copy(update={"provider_data": {**(parts[at].provider_data or {}), "citationMetadata": citations}})
    called = any(isinstance(part, ServerToolCallPart) for part in parts)
    if isinstance(grounding := candidate.get("groundingMetadata"), dict) and grounding:
        queries = grounding.get("webSearchQueries")
        annotated += _annotation("groundingMetadata", _grounded_by(grounding), {"queries": queries} if queries else None, grounding, called=called)
    if isinstance(fetched := candidate.get("urlContextMetadata"), dict) and fetched:
        annotated += _annotation("urlContextMetadata", "url_context", None, fetched, called=called)
    return tuple(annotated)


def _annotation(name: str, tool: str, arguments: Any, told: Body, *, called: bool) -> list[Part]:
    """A call and its response; the response alone where Google itself told of its calls."""
    mark = {ANNOTATION: name}
    response = ServerToolCallResponsePart(response=told, provider_data=mark)
    return [response] if called else [ServerToolCallPart(name=tool, arguments=arguments, provider_data=mark), response]


def _grounded_by(grounding: Body) -> str:
    first = next(iter(objects_in(grounding.get("groundingChunks"))), {})
    return next((tool for name, tool in GROUNDS if name in first), "google_search")


def usage_of(usage: Any) -> UsageV1:
    """Thoughts are billed as output beside the candidates, and what tools brought in as input beside the prompt; zeros are left out on the wire."""
    if not isinstance(usage, dict):
        return UsageV1()
    thoughts = count_or_none(usage.get("thoughtsTokenCount"))
    return UsageV1(
        input_tokens=_sum(usage, "promptTokenCount", "toolUsePromptTokenCount"),
        output_tokens=_sum(usage, "candidatesTokenCount", "thoughtsTokenCount"),
        cache_read_tokens=count_or_none(usage.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
    )


def _sum(usage: Body, *names: str) -> int | None:
    """Unknown where none is told, unless the total is: then they are zeros."""
    counts = [count for name in names if (count := count_or_none(usage.get(name))) is not None]
    return sum(counts) if counts or count_or_none(usage.get("totalTokenCount")) is not None else None
