"""Response objects as our answers."""

from dataclasses import replace
from typing import Any

from contracts.content import ChatMessageV1, Part, TextPart, ToolCallPart
from contracts.outcome import FailureType, FinishReason, UsageV1

from ..openai.answers import cost_of
from ..openai.errors import failure_in_body
from ..protocol import Answer, Body, Failure
from ..reading import count_or_none, text_or_none
from .items import parts_of

INCOMPLETE: dict[str, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}
FAILURES: dict[str, FailureType] = {
    "image_content_policy_violation": "content_filtered",
    "bio_policy": "content_filtered",
    "misalignment_policy_violation": "content_filtered",
    "vector_store_timeout": "timeout",
    **dict.fromkeys(("invalid_prompt", "data_residency_mismatch", "failed_to_download_image", "image_file_not_found"), "invalid_request"),
    **dict.fromkeys(("invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url", "invalid_image_mode"), "invalid_request"),
    **dict.fromkeys(("image_too_large", "image_too_small", "image_parse_error", "image_file_too_large"), "invalid_request"),
    **dict.fromkeys(("unsupported_image_media_type", "empty_image_file"), "invalid_request"),
}
"""Codes that only a failed response has: https://platform.openai.com/docs/api-reference/responses/object, error."""
WAITING = frozenset({"queued", "in_progress"})


def chat_answer(body: Any, by: str | None = None, *, structured: bool = False) -> Answer | Failure:
    """The body of a 200 to `POST /responses`; `by`: the type of the provider that answers, `structured`: the answer is to be JSON."""
    if not isinstance(body, dict):
        return unreadable("is not a JSON object")
    output = body.get("output")
    items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    parts = tuple(part for at, item in enumerate(items) for _, part in parts_of(item, at, by, structured=structured))
    if (failure := failure_in(body)) is not None:
        return replace(failure, partial=ChatMessageV1(role="assistant", parts=parts) if parts else None)
    return answer_of(body, parts) if isinstance(output, list) else unreadable("has no list 'output'")


def unreadable(why: str) -> Failure:
    """A 200 that says nothing we understand; it may have been billed."""
    return Failure("unavailable", f"the provider's answer {why}; check that base_url ends before /responses")


def failure_in(response: Body) -> Failure | None:
    """Why a response gives no answer; None where it does."""
    status = text_or_none(response.get("status"))
    if response.get("error"):
        failure = failed_with(response["error"])
    elif status in WAITING:
        words = f"the provider only queued the answer (status {status!r}): take 'background' out of provider_options, or ask for a stream"
        failure = Failure("invalid_request", words, status)
    elif status in ("failed", "cancelled"):
        failure = Failure("unavailable", f"the provider's answer has the status {status!r} and does not say why", status)
    else:
        return None
    return replace(failure, usage=usage_of(response["usage"])) if isinstance(response.get("usage"), dict) else failure


def failed_with(error: Any) -> Failure:
    """An error object in a response or in an event."""
    failure = failure_in_body(error)
    return replace(failure, type=FAILURES.get(failure.provider_code or "", failure.type))


def answer_of(response: Body, parts: tuple[Part, ...]) -> Answer:
    """The answer of a response, whole or put together from its stream."""
    return Answer(
        message=ChatMessageV1(role="assistant", parts=parts or (TextPart(content=""),)),
        finish_reason=_finish(response, parts),
        usage=usage_of(response.get("usage")),
        response_model=text_or_none(response.get("model")),
        response_id=text_or_none(response.get("id")),
        cost_usd=cost_of(response.get("usage")),
    )


def _finish(response: Body, parts: tuple[Part, ...]) -> FinishReason:
    if response.get("status") == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return INCOMPLETE.get(reason, "length") if isinstance(reason, str) else "length"
    if any(isinstance(part, TextPart) and (part.provider_data or {}).get("refusal") for part in parts):
        return "content_filter"
    return "tool_call" if any(isinstance(part, ToolCallPart) for part in parts) else "stop"


def usage_of(usage: Any) -> UsageV1:
    """Tokens as billed."""
    if not isinstance(usage, dict):
        return UsageV1()
    given, written = (details if isinstance(details := usage.get(f"{side}_tokens_details"), dict) else {} for side in ("input", "output"))
    return UsageV1(
        input_tokens=count_or_none(usage.get("input_tokens")),
        output_tokens=count_or_none(usage.get("output_tokens")),
        cache_read_tokens=count_or_none(given.get("cached_tokens")),
        cache_write_tokens=count_or_none(given.get("cache_write_tokens")),
        reasoning_tokens=count_or_none(written.get("reasoning_tokens")),
    )
