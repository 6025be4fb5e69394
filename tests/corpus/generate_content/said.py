"""What recordings of Google say, by the official SDK's own types."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from google.genai import errors, types

from contracts.content import BlobPart, ReasoningPart
from services.adapters.protocol import Answer
from tests.corpus.recording import Expected, ExpectedFailure, NotApplicable, Recording, ToolCall

from .asked import decoded, listed

FINISH: Mapping[str, str] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"), "content_filter"),
    **dict.fromkeys(("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"), "content_filter"),
}
FAILURES = {
    400: "invalid_request",
    401: "auth",
    403: "auth",
    404: "invalid_request",
    429: "rate_limited",
    500: "unavailable",
    503: "unavailable",
    504: "timeout",
}


def expected(recording: Recording) -> Expected | ExpectedFailure | NotApplicable:
    if recording.status != 200:
        return failure_of(recording)
    if recording.kind == "embed":
        return vectors_of(json.loads(recording.text()))
    return answer_of(responses(recording), streamed=":streamGenerateContent" in recording.route)


def responses(recording: Recording) -> list[dict[str, Any]]:
    """One, or those of a stream: events, or a list where no events were asked for."""
    text = recording.text()
    if text.lstrip().startswith(("data:", ":")):
        return [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]
    return listed(json.loads(text))


def failure_of(recording: Recording) -> ExpectedFailure:
    try:
        given = json.loads(recording.text())
    except ValueError:
        given = {}
    body = given[0] if isinstance(given, list) and given else given
    error = errors.APIError(recording.status, body)
    details = [one for one in (body.get("error") or {}).get("details", ()) if isinstance(one, dict)]
    delay = next((float(one["retryDelay"].rstrip("s")) for one in details if "retryDelay" in one), None)
    header = recording.response_headers.get("retry-after")
    return ExpectedFailure(_class(error, details), float(header) if header else delay)


def _class(error: errors.APIError, details: list[dict[str, Any]]) -> str:
    quotas = [violation.get("quotaId", "") for one in details for violation in one.get("violations", ())]
    message = (error.message or "").lower()
    if any(one.get("reason") in ("API_KEY_INVALID", "SERVICE_DISABLED") for one in details):
        return "auth"
    if error.code == 429 and (any("PerDay" in quota for quota in quotas) or "limit: 0" in message):
        return "quota_exhausted"
    if error.code == 400 and "token count" in message and "exceeds" in message:
        return "context_too_long"
    if error.code == 503 and ("overloaded" in message or "high demand" in message):
        return "overloaded"
    return FAILURES.get(error.code, "invalid_request" if error.code < 500 else "unavailable")


def vectors_of(body: dict[str, Any]) -> Expected:
    predictions = [one["embeddings"] for one in body.get("predictions", ())]
    found = predictions or listed(body.get("embedding")) or body["embeddings"]
    told = types.EmbedContentResponse._from_response(response={"embeddings": [{"values": one["values"]} for one in found]}, kwargs={})
    counted = [one.get("statistics", {}).get("token_count") for one in predictions]
    tokens = sum(counted) if counted and None not in counted else body.get("usageMetadata", {}).get("promptTokenCount")
    return Expected(embeddings=tuple(tuple(one.values or ()) for one in told.embeddings or ()), usage={"input_tokens": tokens, "output_tokens": 0})


def answer_of(given: list[dict[str, Any]], *, streamed: bool) -> Expected | ExpectedFailure:
    broken = next((one["error"] for one in given if "error" in one), None)
    if broken is not None:
        return ExpectedFailure(_class(errors.APIError(broken.get("code", 500), {"error": broken}), []))
    chunks = [types.GenerateContentResponse._from_response(response=one, kwargs={}) for one in given]
    candidates = [chunk.candidates[0] for chunk in chunks if chunk.candidates]
    if any(chunk.prompt_feedback and chunk.prompt_feedback.block_reason for chunk in chunks) and not candidates:
        return ExpectedFailure("content_filtered")
    reason = next((candidate.finish_reason.value for candidate in candidates if candidate.finish_reason), None)
    if not candidates or (streamed and reason is None):
        return ExpectedFailure("truncated_stream" if streamed else "unavailable")
    return _answered(chunks, candidates, reason, streamed=streamed)


def _answered(chunks: list[types.GenerateContentResponse], candidates: list[types.Candidate], reason: str | None, *, streamed: bool) -> Expected:
    parts = [part for candidate in candidates if candidate.content for part in candidate.content.parts or ()]
    called = [part.function_call for part in parts if part.function_call]
    finish = "stop" if reason is None else FINISH.get(reason, "error")
    usage = next((chunk.usage_metadata for chunk in reversed(chunks) if chunk.usage_metadata), None)
    return Expected(
        text="".join(part.text for part in parts if part.text and not part.thought),
        reasoning="".join(part.text for part in parts if part.text and part.thought),
        tool_calls=tuple(ToolCall(call.name or "", call.args or {}, call.id) for call in called),
        server_tools=tuple(server_tools(candidates, parts)),
        finish_reason="tool_call" if called and finish == "stop" else finish,
        usage={} if usage is None else usage_of(usage),
        response_id=chunks[-1].response_id,
        response_model=chunks[-1].model_version,
        streamed=streamed,
        extra={
            "signatures": [part.thought_signature for part in parts if part.thought_signature],
            "media": [part.inline_data.data for part in parts if part.inline_data],
        },
    )


def usage_of(usage: types.GenerateContentResponseUsageMetadata) -> dict[str, int | None]:
    """Google leaves zeros out where it tells the total."""
    zero = None if usage.total_token_count is None else 0

    def added(*counts: int | None) -> int | None:
        known = [count for count in counts if count is not None]
        return sum(known) if known else zero

    return {
        "input_tokens": added(usage.prompt_token_count, usage.tool_use_prompt_token_count),
        "output_tokens": added(usage.candidates_token_count, usage.thoughts_token_count),
        "cache_read_tokens": usage.cached_content_token_count,
        "reasoning_tokens": usage.thoughts_token_count,
    }


def server_tools(candidates: list[types.Candidate], parts: list[types.Part]) -> Iterator[str]:
    """Tools in the parts; where none are told, what grounded the answer."""
    told = [name for part in parts if (name := _tool(part)) is not None]
    yield from told
    if told:
        return
    grounding = [one for candidate in candidates if (one := candidate.grounding_metadata) and one.model_dump(exclude_none=True)]
    chunks = [chunk for one in grounding for chunk in one.grounding_chunks or ()]
    if grounding:
        first = chunks[0] if chunks else types.GroundingChunk()
        yield "google_search" if first.web or not chunks else "file_search" if first.retrieved_context else "google_maps"
    if any(candidate.url_context_metadata and candidate.url_context_metadata.model_dump(exclude_none=True) for candidate in candidates):
        yield "url_context"


def _tool(part: types.Part) -> str | None:
    if part.executable_code:
        return "code_execution"
    kind = part.tool_call.tool_type if part.tool_call else None
    return str(kind.value) if kind is not None else None


def extra(answer: Answer) -> Mapping[str, Any]:
    """Signatures and media, decoded, in order."""
    parts = answer.message.all_parts() if answer.message is not None else ()
    signatures = [(part.signature if isinstance(part, ReasoningPart) else None) or (part.provider_data or {}).get("thoughtSignature") for part in parts]
    return {
        "signatures": [decoded(text) for text in signatures if text],
        "media": [decoded(part.content) for part in parts if isinstance(part, BlobPart)],
    }
