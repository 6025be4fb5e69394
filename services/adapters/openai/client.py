"""The only I/O of this protocol: one HTTP call for one request, and what it came to."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
from pydantic_core import PydanticSerializationError, from_json, to_json

from contracts.outcome import WarningV1
from contracts.request import ChatRequestV1, EmbedRequestV1

from ..protocol import Answer, DeltaPiece, Failure, OnDelta
from ..registry import ProviderKind
from ..sse import Event, SseReader
from .answers import chat_answer, unreadable
from .convert import Body, Unconvertible, chat_body, embed_body
from .errors import MAX_MESSAGE, failure_of
from .stream import StreamedAnswer
from .vectors import embed_answer

CONNECT_S = 10.0
AFTER_DONE_S = 0.05
"""How long the end of a finished stream is waited for, so that its connection can serve the next call."""

Warnings = tuple[WarningV1, ...]
Converted = tuple[Body, Warnings]
Reader = Callable[[aiohttp.ClientResponse, Warnings], Awaitable[Answer | Failure]]


class OpenAIClient:
    """One provider's endpoint. The session is shared; give it a connector without a limit: concurrency is the bus's business."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        api_key: str | None,
        headers: Mapping[str, str],
        kind: ProviderKind,
        *,
        provider_id: str | None = None,
    ) -> None:
        self._session = session
        self._base_url = base_url.strip().rstrip("/")
        self._kind, self._provider_id = kind, provider_id
        key = api_key.strip() if api_key and kind.auth == "bearer" else ""
        self._headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {}), **headers}
        self._secrets = sorted({secret for secret in (key, *headers.values()) if len(secret) >= 6}, key=len, reverse=True)

    async def chat(self, request: ChatRequestV1, model: str, *, timeout_s: float, idempotency_key: str, on_delta: OnDelta | None = None) -> Answer | Failure:
        """Asks for the next message. `on_delta` hears the pieces of a streamed answer; the answer is whole in any case."""

        async def read(response: aiohttp.ClientResponse, warnings: Warnings) -> Answer | Failure:
            if _is_event_stream(response, request.stream):
                return await self._read_stream(response, on_delta or _ignore, warnings)
            answer = chat_answer(from_json(await response.read(), allow_inf_nan=False), warnings)
            if request.stream and on_delta is not None and isinstance(answer, Answer):
                _tell_whole(answer, on_delta)
            return answer

        def convert() -> Converted:
            return chat_body(request, model, self._kind, self._provider_id)

        return await self._call("/chat/completions", convert, read, timeout_s, idempotency_key)

    async def embed(self, request: EmbedRequestV1, model: str, *, timeout_s: float, idempotency_key: str) -> Answer | Failure:
        """Asks for one vector for each text."""

        async def read(response: aiohttp.ClientResponse, warnings: Warnings) -> Answer | Failure:
            return embed_answer(from_json(await response.read(), allow_inf_nan=False), request, warnings)

        def convert() -> Converted:
            return embed_body(request, model, self._kind, self._provider_id)

        return await self._call("/embeddings", convert, read, timeout_s, idempotency_key)

    async def _call(self, path: str, convert: Callable[[], Converted], read: Reader, timeout_s: float, idempotency_key: str) -> Answer | Failure:
        try:
            body, warnings = convert()
            payload = to_json(body)
        except (Unconvertible, PydanticSerializationError) as error:
            return Failure("invalid_request", str(error)[:MAX_MESSAGE], usage_known_zero=True)
        outcome = await self._within(timeout_s, path, payload, {**self._headers, "Idempotency-Key": idempotency_key}, read, warnings)
        return outcome if isinstance(outcome, Answer) else self._redacted(outcome)

    async def _within(self, timeout_s: float, path: str, payload: bytes, headers: dict[str, str], read: Reader, warnings: Warnings) -> Answer | Failure:
        """Every way in which the network can end a call; `expired` is told from a timeout that the transport raised itself."""
        clock = asyncio.timeout(max(0.0, timeout_s))
        try:
            async with clock:
                return await self._dial(path, payload, headers, read, warnings)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Failure("unavailable", f"cannot connect: {_words(error)}", usage_known_zero=True)
        except TimeoutError as error:
            if clock.expired():
                return Failure("timeout", f"no complete answer within {timeout_s:g} s")
            return Failure("timeout", f"the connection timed out: {_words(error)}")
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            return Failure("unavailable", f"base_url cannot be dialled: {_words(error)}; correct it in the configuration", usage_known_zero=True)
        except (aiohttp.ClientError, OSError) as error:
            return Failure("unavailable", f"the connection broke before the whole answer came: {_words(error)}")
        except ValueError as error:
            return unreadable(f"is not JSON ({_words(error)})")

    async def _dial(self, path: str, payload: bytes, headers: dict[str, str], read: Reader, warnings: Warnings) -> Answer | Failure:
        response = await self._session.post(
            self._base_url + path,
            data=payload,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        )
        try:
            if response.status == 200:
                return await read(response, warnings)
            return await _refused(response)
        finally:
            response.close()  # a response that was read to its end has given its connection back already

    async def _read_stream(self, response: aiohttp.ClientResponse, on_delta: OnDelta, warnings: Warnings) -> Answer | Failure:
        reader, answer = SseReader(), StreamedAnswer(warnings)
        try:
            async for chunk in response.content.iter_any():
                _feed(answer, reader.feed(chunk), on_delta)
                if answer.done:
                    break
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            if not answer.complete:
                return Failure("truncated_stream", f"the provider's stream broke before the model had finished: {_words(error)}")
        if answer.done:
            await _drain(response)
        else:
            _feed(answer, reader.close(), on_delta, cut=True)
        return answer.result()

    def _redacted(self, failure: Failure) -> Failure:
        """Secrets out, and no longer than a message may be: providers echo keys."""
        message, code = failure.message, failure.provider_code
        for secret in self._secrets:
            message = message.replace(secret, "***")
            code = code.replace(secret, "***") if code else code
        return replace(failure, message=message[:MAX_MESSAGE], provider_code=code[:100] if code else code)


def _ignore(_: DeltaPiece) -> None:
    return None


def _is_event_stream(response: aiohttp.ClientResponse, asked: bool) -> bool:
    """By the content type; some servers name none when they stream."""
    return "event-stream" in response.content_type or (asked and "json" not in response.content_type)


def _feed(answer: StreamedAnswer, events: list[Event], on_delta: OnDelta, *, cut: bool = False) -> None:
    for event in events:
        if answer.done:
            return
        for piece in answer.feed(event.data, cut=cut):
            on_delta(piece)


def _tell_whole(answer: Answer, on_delta: OnDelta) -> None:
    """A server that does not stream answered a streamed request: its whole answer in one go."""
    whole = StreamedAnswer()
    for part in answer.message.all_parts() if answer.message else ():
        if part.type == "text":
            delta: dict[str, Any] = {"content": part.content}
        elif part.type == "reasoning":
            delta = {"reasoning_content": part.content}
        elif part.type == "tool_call":
            delta = {"tool_calls": [{"id": part.id, "function": {"name": part.name, "arguments": part.arguments}}]}
        else:
            continue
        for piece in whole.feed(to_json({"choices": [{"delta": delta}]}).decode()):
            on_delta(piece)


async def _refused(response: aiohttp.ClientResponse) -> Failure:
    if 300 <= response.status < 400:
        where = response.headers.get("Location", "elsewhere")
        return Failure("unavailable", f"the provider redirects to {where[:200]!r}; set that as base_url", str(response.status), usage_known_zero=True)
    if response.status < 300:
        return Failure("unavailable", f"the provider answered HTTP {response.status} where 200 is due", str(response.status))
    try:
        body = await response.content.read(64 * 1024)
    except aiohttp.ClientError:
        body = b""
    return failure_of(response.status, response.headers, body, datetime.now(UTC))


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Reads the end of a finished stream; gives the connection up where none comes."""
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(AFTER_DONE_S):
            async for _ in response.content.iter_any():
                pass


def _words(error: BaseException) -> str:
    """What an exception says, with its type: many say nothing."""
    return f"{type(error).__name__}: {error}".rstrip(": ")
