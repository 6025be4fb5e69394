"""What a recorded answer says, read by Anthropic's own SDK over a transport that plays the recording."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import anthropic
import httpx2
from anthropic.types.beta import BetaMessage

from services.adapters.protocol import Answer
from tests.corpus.recording import Expected, ExpectedFailure, NotApplicable, Recording, ToolCall

FRAMED = frozenset({"content-encoding", "transfer-encoding", "content-length"})
FINISHED = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "compaction": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
}
FAILED: tuple[tuple[type[anthropic.APIError], str], ...] = (
    (anthropic.AuthenticationError, "auth"),
    (anthropic.PermissionDeniedError, "auth"),
    (anthropic.RateLimitError, "rate_limited"),
    (anthropic.BadRequestError, "invalid_request"),
    (anthropic.NotFoundError, "invalid_request"),
    (anthropic.InternalServerError, "unavailable"),
)
TYPES = {
    "api_error": "unavailable",
    "authentication_error": "auth",
    "billing_error": "quota_exhausted",
    "overloaded_error": "overloaded",
    "permission_error": "auth",
    "rate_limit_error": "rate_limited",
    "request_too_large": "context_too_long",
    "timeout_error": "timeout",
}
STATUSES = {408: "timeout", 413: "context_too_long", 504: "timeout", 529: "overloaded"}
WORDS = {
    "prompt is too long": "context_too_long",
    "exceed context limit": "context_too_long",
    "credit balance is too low": "quota_exhausted",
    "specified api usage limits": "quota_exhausted",
    "content filtering policy": "content_filtered",
}
SERVER_CALLS = ("server_tool_use", "mcp_tool_use")


def expected(recording: Recording) -> Expected | ExpectedFailure | NotApplicable:
    streamed, _PLAYER.recording = bool(recording.request.get("stream")), recording
    try:
        message = _read(streamed)
        return _answer(message, streamed) if message.stop_reason or not streamed else ExpectedFailure("truncated_stream")
    except anthropic.APIStatusError as error:
        return _failure(error)


def extra(answer: Answer) -> dict[str, Any]:
    """What only this protocol has, in an answer of ours."""
    parts = answer.message.all_parts() if answer.message is not None else ()
    return {
        "kinds": [part.type for part in parts],
        "signatures": [part.signature for part in parts if part.type == "reasoning" and part.encrypted is None],
        "encrypted": [part.encrypted for part in parts if part.type == "reasoning" and part.encrypted is not None],
        "citations": sum(len((part.provider_data or {}).get("citations", ())) for part in parts if part.type == "text"),
        "blocks": [part.provider_data["anthropic_block"]["type"] for part in parts if part.provider_data and "anthropic_block" in part.provider_data],
    }


class _Player(httpx2.BaseTransport):
    """Answers whatever is asked with one recording."""

    recording: Recording

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = {name: value for name, value in self.recording.response_headers.items() if name not in FRAMED}
        return httpx2.Response(self.recording.status, headers=headers, content=self.recording.response)


_PLAYER = _Player()
_CLIENT = anthropic.Anthropic(
    api_key="nobody", base_url="http://recorded.test", max_retries=0, http_client=httpx2.Client(transport=_PLAYER), open_telemetry=False
)


def _read(streamed: bool) -> BetaMessage:
    if streamed:
        with _CLIENT.beta.messages.stream(model="recorded", max_tokens=1, messages=[{"role": "user", "content": "recorded"}]) as stream:
            return stream.get_final_message()
    return _CLIENT.beta.messages.create(model="recorded", max_tokens=1, messages=[{"role": "user", "content": "recorded"}])


def _answer(message: BetaMessage, streamed: bool) -> Expected:
    blocks: list[Any] = list(message.content)
    return Expected(
        text="".join(block.text for block in blocks if block.type == "text"),
        reasoning="".join(block.thinking for block in blocks if block.type == "thinking"),
        tool_calls=tuple(ToolCall(block.name, block.input, block.id) for block in blocks if block.type == "tool_use"),
        server_tools=tuple(block.name for block in blocks if block.type in SERVER_CALLS),
        finish_reason=FINISHED.get(str(message.stop_reason), "stop"),
        usage=_usage(message),
        response_id=message.id,
        response_model=message.model,
        streamed=streamed,
        extra={
            "kinds": [_kind(block.type) for block in blocks] or ["text"],
            "signatures": [block.signature for block in blocks if block.type == "thinking"],
            "encrypted": [block.data for block in blocks if block.type == "redacted_thinking"],
            "citations": sum(len(block.citations or ()) for block in blocks if block.type == "text"),
            "blocks": [block.type for block in blocks if _kind(block.type).startswith("server")],
        },
    )


def _kind(block_type: str) -> str:
    known = {"text": "text", "thinking": "reasoning", "redacted_thinking": "reasoning", "tool_use": "tool_call"}
    return known.get(block_type, "server_tool_call" if block_type in SERVER_CALLS else "server_tool_call_response")


def _usage(message: BetaMessage) -> dict[str, int | None]:
    usage = message.usage
    read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    details = usage.output_tokens_details
    return {
        "input_tokens": usage.input_tokens + (read or 0) + (written or 0),
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "cache_write_1h_tokens": usage.cache_creation.ephemeral_1h_input_tokens if usage.cache_creation is not None else None,
        "reasoning_tokens": details.thinking_tokens if details is not None else None,
    }


def _failure(error: anthropic.APIStatusError) -> ExpectedFailure:
    words = str(error.message).lower()
    kind = next((meaning for text, meaning in WORDS.items() if text in words), None) or TYPES.get(str(error.type)) or STATUSES.get(error.status_code)
    kind = kind or next((name for wanted, name in FAILED if isinstance(error, wanted)), "invalid_request")
    return ExpectedFailure(kind, _advice(error.response.headers.get("retry-after")))


def _advice(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
