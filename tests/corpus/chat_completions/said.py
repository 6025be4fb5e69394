"""What a recorded answer says, read by the provider's own SDK: openai, groq or mistralai, each over a transport that plays the recording."""

import base64
import json
import re
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import groq
import httpx
import mistralai.client
import openai
from mistralai.client import errors as mistral_errors

from tests.corpus.recording import Expected, ExpectedFailure, NotApplicable, Recording, ToolCall

BASE_URL = "http://recorded.test/v1"
ASKED: dict[str, Any] = {"model": "recorded", "messages": [{"role": "user", "content": "recorded"}]}
FRAMED = frozenset({"content-encoding", "transfer-encoding", "content-length"})
FAILED = (openai.APIError, groq.APIError, mistral_errors.MistralError)
CODES = {
    "insufficient_quota": "quota_exhausted",
    "context_length_exceeded": "context_too_long",
    "content_filter": "content_filtered",
    "invalid_api_key": "auth",
    "rate_limit_exceeded": "rate_limited",
}
TOO_LONG = re.compile(r"maximum context length is|max context length")
STATUSES = {401: "auth", 402: "quota_exhausted", 403: "auth", 408: "timeout", 413: "context_too_long", 429: "rate_limited", 504: "timeout"}
FINISHED = {"stop": "stop", "length": "length", "tool_calls": "tool_call", "function_call": "tool_call", "content_filter": "content_filter", "error": "error"}


def expected(recording: Recording) -> Expected | ExpectedFailure | NotApplicable:
    streamed, _PLAYER.recording = bool(recording.request.get("stream")), recording
    try:
        if recording.kind == "embed":
            return _vectors(recording)
        read = {"groq": _groq, "mistral": _mistral}.get(recording.provider, _openai)
        return _answer(list(read(streamed)), streamed)
    except FAILED as error:
        return _failure(recording, error)


class _Player(httpx.BaseTransport):
    """Answers whatever is asked with one recording."""

    recording: Recording

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = {name: value for name, value in self.recording.response_headers.items() if name not in FRAMED}
        return httpx.Response(self.recording.status, headers=headers, content=self.recording.response)


_PLAYER = _Player()
_HTTP = httpx.Client(transport=_PLAYER)
_OPENAI = openai.OpenAI(api_key="nobody", base_url=BASE_URL, max_retries=0, http_client=_HTTP)  # type: ignore[arg-type]  # wants httpx2, takes httpx
_GROQ = groq.Groq(api_key="nobody", base_url=BASE_URL, max_retries=0, http_client=_HTTP)
_MISTRAL = mistralai.client.Mistral(api_key="nobody", server_url=BASE_URL, client=_HTTP)  # type: ignore[arg-type]  # a protocol of its own, which httpx meets


def _openai(streamed: bool) -> Iterable[Any]:
    made = _OPENAI.chat.completions.create(**ASKED, stream=streamed)
    return made if isinstance(made, openai.Stream) else [made]


def _groq(streamed: bool) -> Iterable[Any]:
    made = _GROQ.chat.completions.create(**ASKED, stream=streamed)
    return made if isinstance(made, groq.Stream) else [made]


def _mistral(streamed: bool) -> Iterable[Any]:
    return (event.data for event in _MISTRAL.chat.stream(**ASKED)) if streamed else [_MISTRAL.chat.complete(**ASKED)]


def _vectors(recording: Recording) -> Expected:
    encoding: Any = recording.request.get("encoding_format") or "float"
    made = _OPENAI.embeddings.create(input=recording.request["input"], model="recorded", encoding_format=encoding)
    rows = sorted(made.data, key=lambda row: row.index)
    vectors = tuple(tuple(row.embedding if isinstance(row.embedding, list) else _unpacked(row.embedding)) for row in rows)
    usage = made.usage
    tokens = getattr(usage, "prompt_tokens", None)
    return Expected(
        embeddings=vectors, response_model=made.model or None, usage={"input_tokens": tokens if tokens is not None else getattr(usage, "total_tokens", None)}
    )


def _unpacked(text: str) -> list[float]:
    return list(array("f", base64.b64decode(text)))


class _Gathered:
    """The first choice, put together from one completion or from all chunks of a stream."""

    def __init__(self, streamed: bool) -> None:
        self.streamed = streamed
        self.text = self.reasoning = self.refusal = ""
        self.calls: list[dict[str, Any]] = []
        self.finish: str | None = None
        self.usage: Any = None
        self.id: str | None = None
        self.model: str | None = None
        self.executed: dict[int, str] = {}

    def add(self, piece: Any) -> None:
        self.id, self.model = piece.id or self.id, piece.model or self.model
        own = getattr(piece, "x_groq", None)
        self.usage = getattr(piece, "usage", None) or getattr(own, "usage", None) or self.usage
        for choice in piece.choices or []:
            if (choice.index or 0) == 0:
                self.finish = choice.finish_reason or self.finish
                message = getattr(choice, "delta", None) if self.streamed else choice.message
                if message is not None:
                    self._message(message)

    def _message(self, message: Any) -> None:
        thinking, text = _content(message.content)
        named = [getattr(message, name, None) for name in ("reasoning_content", "reasoning")]
        self.reasoning += next((value for value in named if isinstance(value, str) and value), "") + thinking
        self.text += text
        self.refusal += getattr(message, "refusal", None) or ""
        for tool in getattr(message, "executed_tools", None) or []:
            self.executed[tool.index] = tool.type
        calls = getattr(message, "tool_calls", None) or []
        legacy = getattr(message, "function_call", None)
        for call in calls:
            self._call(call)
        if legacy is not None and not calls:
            self._written(None, None, legacy.name, legacy.arguments)

    def _call(self, call: Any) -> None:
        custom = getattr(call, "custom", None)
        function = getattr(call, "function", None)
        if custom is not None:
            self._written(getattr(call, "index", None), call.id, custom.name, custom.input)
            self.calls[-1]["custom"] = True
        elif function is not None:
            self._written(getattr(call, "index", None), call.id, function.name, function.arguments)

    def _written(self, index: int | None, call_id: str | None, name: str | None, arguments: Any) -> None:
        """A piece of a call belongs to the last one unless it names another id, or an index without a call."""
        begins = (
            not self.calls or (call_id and call_id != self.calls[-1]["id"]) or (not call_id and name and index not in [call["index"] for call in self.calls])
        )
        if begins:
            self.calls.append({"index": index, "id": call_id, "name": name, "arguments": ""})
        same = [call for call in self.calls if call["index"] == index] if not begins and not call_id else []
        call = same[-1] if same else self.calls[-1]
        call["arguments"] += arguments if isinstance(arguments, str) else json.dumps(arguments) if arguments else ""


def _content(content: Any) -> tuple[str, str]:
    """Thinking and text: a string, or Mistral's chunks."""
    if isinstance(content, str) or not content:
        return "", content if isinstance(content, str) else ""
    thinking = [inner.text for chunk in content if chunk.type == "thinking" for inner in chunk.thinking if inner.type == "text"]
    return "".join(thinking), "".join(chunk.text for chunk in content if chunk.type == "text")


def _answer(pieces: list[Any], streamed: bool) -> Expected | ExpectedFailure:
    gathered = _Gathered(streamed)
    for piece in pieces:
        if (error := (getattr(piece, "model_extra", None) or {}).get("error")) and not piece.choices:
            return ExpectedFailure(CODES.get(error.get("code"), "unavailable"))
        gathered.add(piece)
    calls = tuple(ToolCall(call["name"], call["arguments"] if "custom" in call else _decoded(call["arguments"]), call["id"] or None) for call in gathered.calls)
    finish = FINISHED.get(str(gathered.finish), "stop")
    if gathered.refusal:
        finish = "content_filter"
    elif calls and finish == "stop":
        finish = "tool_call"
    return Expected(
        text=gathered.text + gathered.refusal,
        reasoning=gathered.reasoning,
        tool_calls=calls,
        server_tools=tuple(gathered.executed.values()),
        finish_reason=finish,
        usage=_usage(gathered.usage),
        response_id=gathered.id or None,
        response_model=gathered.model or None,
        streamed=streamed,
    )


def _decoded(written: str) -> Any:
    try:
        return json.loads(written) if written.strip() else {}
    except ValueError:
        return written


def _usage(usage: Any) -> dict[str, int | None]:
    if usage is None:
        return {"input_tokens": None, "output_tokens": None}
    prompt, written = getattr(usage, "prompt_tokens_details", None), getattr(usage, "completion_tokens_details", None)
    reasoning = _of(written, "reasoning_tokens")
    output = usage.completion_tokens
    if reasoning and usage.total_tokens == usage.prompt_tokens + output + reasoning:
        output += reasoning  # xAI's own documentation: reasoning tokens are billed beside the completion
    hits = [_of(prompt, "cached_tokens"), _of(usage, "prompt_cache_hit_tokens"), _of(usage, "cached_tokens"), _of(usage, "num_cached_tokens")]
    writes = [_of(prompt, "cache_write_tokens"), _of(usage, "cache_creation_input_tokens")]
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": output,
        "reasoning_tokens": reasoning,
        "cache_read_tokens": next((value for value in hits if value is not None), None),
        "cache_write_tokens": next((value for value in writes if value is not None), None),
    }


def _of(owner: Any, name: str) -> int | None:
    """A field that the SDK knows, or that it kept beside those it knows."""
    if isinstance(owner, Mapping):
        return owner.get(name)
    value = getattr(owner, name, None)
    return value if isinstance(value, int) else (getattr(owner, "model_extra", None) or {}).get(name)


def _failure(recording: Recording, error: Exception) -> ExpectedFailure:
    body = getattr(error, "body", None)
    fields = body if isinstance(body, dict) else {}
    status = getattr(error, "status_code", None) or fields.get("status_code") or fields.get("code")
    known = next((CODES[code] for code in (fields.get("code"), fields.get("type")) if isinstance(code, str) and code in CODES), None)
    by_status = STATUSES.get(status or 0, "invalid_request" if isinstance(status, int) and 400 <= status < 500 else "unavailable")
    if isinstance(fields.get("message"), str) and TOO_LONG.search(fields["message"]):
        known = "context_too_long"
    advice = recording.response_headers.get("retry-after")
    return ExpectedFailure(known or by_status, float(advice) if advice is not None else None)
