"""What a recorded response says, read by the official SDK over a transport that plays the recording."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, get_args

import httpx
import openai
from openai.types.responses import Response, ResponseError

from catalog.kinds import kind_of
from contracts.request import ChatRequestV1
from services.adapters.openai_responses.wire import Responses
from services.adapters.protocol import Answer
from tests.corpus.recording import Expected, ExpectedFailure, NotApplicable, Recording, ToolCall

FRAMED = frozenset({"content-encoding", "transfer-encoding", "content-length"})
CODES = {
    "insufficient_quota": "quota_exhausted",
    "context_length_exceeded": "context_too_long",
    "content_filter": "content_filtered",
    "invalid_api_key": "auth",
    "rate_limit_exceeded": "rate_limited",
}
STATUSES = {401: "auth", 402: "quota_exhausted", 403: "auth", 408: "timeout", 413: "context_too_long", 429: "rate_limited", 504: "timeout"}
REFUSED = frozenset({"bio_policy", "misalignment_policy_violation", "image_content_policy_violation"})
SERVERS = {"server_error": "unavailable", "rate_limit_exceeded": "rate_limited", "vector_store_timeout": "timeout"}
"""Codes of failed responses that are not the request's fault; all others that the SDK names are."""
KNOWN = frozenset(get_args(ResponseError.model_fields["code"].annotation))
INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content_filter"}
ENDS = ("response.completed", "response.incomplete", "response.failed")
ANSWERING = ("_output", "_response", "compaction", "additional_tools")


class _Player(httpx.BaseTransport):
    """Answers whatever is asked with one recording."""

    recording: Recording

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = {name: value for name, value in self.recording.response_headers.items() if name not in FRAMED}
        return httpx.Response(self.recording.status, headers=headers, content=self.recording.response)


_PLAYER = _Player()
_CLIENT = openai.OpenAI(api_key="nobody", base_url="http://recorded.test/v1", max_retries=0, http_client=httpx.Client(transport=_PLAYER))  # type: ignore[arg-type]  # wants httpx2, takes httpx


def expected(recording: Recording) -> Expected | ExpectedFailure | NotApplicable:
    streamed, _PLAYER.recording = bool(recording.request.get("stream")), recording
    try:
        made = _CLIENT.responses.create(model="recorded", input="recorded", stream=streamed)
        response = made if isinstance(made, Response) else _last(made)
    except openai.APIError as error:
        return _failure(recording, error)
    if response is None:
        return ExpectedFailure("truncated_stream")
    if not isinstance(response, Response):
        return ExpectedFailure(_failed(str(response.code)))
    if response.error is not None:
        return ExpectedFailure(_failed(response.error.code))
    shape = (recording.request.get("text") or {}).get("format") or {}
    return _answer(response, streamed, structured=shape.get("type") == "json_schema")


def _failed(code: str) -> str:
    if code in REFUSED:
        return "content_filtered"
    return SERVERS.get(code) or CODES.get(code) or ("invalid_request" if code in KNOWN else "unavailable")


def _last(events: Any) -> Any:
    """The response of the last event; its items from their own events where it holds none."""
    items = []
    for event in events:
        if event.type == "error":
            return event
        if event.type == "response.output_item.done":
            items.append(event.item)
        elif event.type in ENDS:
            response = event.response
            response.output = response.output or items
            return response
    return None


def _answer(response: Response, streamed: bool, *, structured: bool) -> Expected:
    """Of a structured answer, what the model says beside the JSON is reasoning."""
    items = response.output
    asides = [item for item in items if structured and item.type == "message" and item.phase == "commentary"]
    blocks: list[Any] = [block for item in items if item.type == "message" and item not in asides for block in item.content]
    thoughts: list[Any] = [text for item in items for text in _thoughts(item, item in asides)]
    calls = tuple(_call(item) for item in items if item.type in ("function_call", "custom_tool_call"))
    finish = "content_filter" if any(block.type == "refusal" for block in blocks) else "tool_call" if calls else "stop"
    if response.status == "incomplete":
        finish = INCOMPLETE.get(str(response.incomplete_details and response.incomplete_details.reason), "length")
    return Expected(
        text="".join(block.refusal if block.type == "refusal" else block.text for block in blocks),
        reasoning="".join(thought.text for thought in thoughts),
        tool_calls=calls,
        server_tools=tuple(_named(item) for item in items if _runs(item.type)),
        finish_reason=finish,
        usage=_usage(response),
        response_id=response.id,
        response_model=response.model,
        streamed=streamed,
        extra={"sent back": [_plain(item.to_dict(mode="json")) for item in items if item.type != "message" or item.content]},
    )


def _thoughts(item: Any, aside: bool) -> list[Any]:
    if aside:
        return list(item.content)
    return [*(item.summary or []), *(item.content or [])] if item.type == "reasoning" else []


def _call(item: Any) -> ToolCall:
    if item.type == "custom_tool_call":
        return ToolCall(item.name, item.input, item.call_id)
    try:
        return ToolCall(item.name, json.loads(item.arguments), item.call_id)
    except ValueError:
        return ToolCall(item.name, item.arguments, item.call_id)


def _runs(kind: str) -> bool:
    return kind not in ("message", "reasoning", "function_call", "custom_tool_call") and not kind.endswith(ANSWERING)


def _named(item: Any) -> str:
    return getattr(item, "name", None) or str(item.type).removesuffix("_call")


def _usage(response: Response) -> dict[str, int | None]:
    usage = response.usage
    if usage is None:
        return {"input_tokens": None, "output_tokens": None}
    given, written = usage.input_tokens_details, usage.output_tokens_details
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": getattr(given, "cached_tokens", None),
        "cache_write_tokens": getattr(given, "cache_write_tokens", None),
        "reasoning_tokens": getattr(written, "reasoning_tokens", None),
    }


def _failure(recording: Recording, error: openai.APIError) -> ExpectedFailure:
    status = getattr(error, "status_code", None)
    by_status = STATUSES.get(status or 0, "invalid_request" if isinstance(status, int) and 400 <= status < 500 else "unavailable")
    advice = recording.response_headers.get("retry-after")
    return ExpectedFailure(CODES.get(str(error.code), by_status), float(advice) if advice is not None else None)


def extra(answer: Answer) -> Mapping[str, Any]:
    """The answer as the next turn sends it back: nothing of it is lost."""
    parts = answer.message.all_parts() if answer.message is not None else ()
    by = next((name for part in parts if (name := (part.provider_data or {}).get("openai_by"))), "openai_responses")
    request = ChatRequestV1.model_validate({"messages": [answer.message], "provider_options": {by: {"store": True}}})
    body = Responses(kind_of(by)).chat(request, "recorded").body
    return {"sent back": [_plain(item) for item in body["input"]]}


def _plain(value: Any) -> Any:
    """Without what says nothing: nulls and empty lists. Arguments decoded."""
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    plain = {name: _plain(inner) for name, inner in value.items() if inner is not None and inner != []}
    if plain.get("type") == "function_call":
        with suppress(ValueError):
            plain["arguments"] = json.loads(plain["arguments"] or "{}")
    return plain
