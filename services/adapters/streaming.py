"""A streamed answer as it comes: its bytes, with the patience that each of them has, until the model has finished or the stream breaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NamedTuple

import aiohttp

from .protocol import Answer, Event, Exchange, Failure, Framing, OnDelta, Streamed
from .sse import SseReader

AFTER_DONE_S = 0.05
"""How long the end of a finished stream is waited for, so that its connection can serve the next call."""


class Waits(NamedTuple):
    """How long a stream may say nothing, in seconds; None: as long as the call may last."""

    first_token_s: float | None
    idle_s: float | None


class Garbled(Exception):
    """A stream whose bytes cannot be framed."""


class Stalled(TimeoutError):
    """A stream that says nothing any more."""


def is_stream(response: aiohttp.ClientResponse) -> bool:
    """By the content type; some servers name none when they stream, so only plain JSON is taken as a whole answer."""
    return response.content_type != "application/json"


async def read_stream(response: aiohttp.ClientResponse, exchange: Exchange, answer: Streamed, on_delta: OnDelta, waits: Waits) -> Answer | Failure:
    """The whole answer; `on_delta` hears its pieces. Raises TimeoutError when the connection itself times out."""
    framing = (exchange.framing or SseReader)()
    try:
        async for chunk in _chunks(response, waits):
            _feed(answer, _framed(framing, chunk), on_delta)
            if answer.done:
                break
    except (aiohttp.ClientError, OSError, Garbled) as error:
        if isinstance(error, TimeoutError) and not isinstance(error, Stalled):
            raise
        if not answer.complete:
            ended = answer.result()
            partial = ended.partial if isinstance(ended, Failure) else None
            if isinstance(error, Stalled):
                return Failure("timeout", str(error), partial=partial)
            return Failure("truncated_stream", f"the provider's stream broke before the model had finished: {words(error)}", partial=partial)
    if answer.done:
        await _drain(response)
    else:
        _feed(answer, framing.close(), on_delta, cut=True)
    return answer.result()


async def _chunks(response: aiohttp.ClientResponse, waits: Waits) -> AsyncIterator[bytes]:
    """The bytes as they come; raises Stalled when the next ones take too long."""
    limit_s, waited = waits.first_token_s, "the first bytes of the stream"
    while True:
        try:
            async with asyncio.timeout(limit_s) as clock:
                chunk = await response.content.readany()
        except TimeoutError:
            if not clock.expired():
                raise
            raise Stalled(f"no {waited} within {limit_s:g} s") from None
        if not chunk:
            return
        yield chunk
        limit_s, waited = waits.idle_s, "further bytes of the stream"


def _framed(framing: Framing, chunk: bytes) -> list[Event]:
    try:
        return framing.feed(chunk)
    except ValueError as error:
        raise Garbled(str(error)) from error


def _feed(answer: Streamed, events: list[Event], on_delta: OnDelta, *, cut: bool = False) -> None:
    for event in events:
        if answer.done:
            return
        for piece in answer.feed(event, cut=cut):
            on_delta(piece)


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Reads the end of a finished stream; gives the connection up where none comes."""
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(AFTER_DONE_S):
            async for _ in response.content.iter_any():
                pass


def words(error: BaseException) -> str:
    """What an exception says, with its type: many say nothing."""
    return f"{type(error).__name__}: {error}".rstrip(": ")
