"""Small pieces of a stream gathered into few deltas: at most one message a kind of piece every 25 ms."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from contracts.delta import DeltaV1, ToolCallDeltaV1
from contracts.outcome import FinishReason

from .protocol import DeltaPiece

FLUSH_S = 0.025


class Coalescer:
    """Takes pieces without waiting, sends deltas in order; the first goes out at once.

    Deltas are best effort: an error of a type in `lost_on` loses that delta, which its reader sees as a gap in `seq`.
    """

    def __init__(
        self,
        send: Callable[[DeltaV1], Awaitable[None]],
        request_id: str,
        n: int,
        *,
        interval_s: float = FLUSH_S,
        lost_on: tuple[type[Exception], ...] = (OSError, TimeoutError),
    ) -> None:
        self._send, self._request_id, self._n = send, request_id, n
        self._interval_s, self._lost_on = interval_s, lost_on
        self._waiting: list[DeltaPiece] = []
        self._seq = 0
        self._wake, self._closing = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.started = False
        """A piece was taken: no other provider may take over."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})

    def add(self, piece: DeltaPiece) -> None:
        """Takes a piece; never waits."""
        self.started = True
        if self._waiting and (joined := _joined(self._waiting[-1], piece)) is not None:
            self._waiting[-1] = joined
        else:
            self._waiting.append(piece)
        self._wake.set()

    async def close(self, finish_reason: FinishReason | None = None) -> None:
        """Sends what is left, then the last delta with `done`."""
        self._closing.set()
        self._wake.set()
        if self._task is not None:
            await self._task
        await self._flush()
        await self._one(DeltaPiece("text", 0), done=True, finish_reason=finish_reason)

    async def _run(self) -> None:
        while not self._closing.is_set():
            await self._wake.wait()
            self._wake.clear()
            await self._flush()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s):
                    await self._closing.wait()

    async def _flush(self) -> None:
        pieces, self._waiting = self._waiting, []
        for piece in pieces:
            await self._one(piece)

    async def _one(self, piece: DeltaPiece, *, done: bool = False, finish_reason: FinishReason | None = None) -> None:
        delta = DeltaV1(
            request_id=self._request_id,
            n=self._n,
            seq=self._seq,
            part=piece.part,
            type=piece.type,
            content=piece.content,
            tool_call=piece.tool_call,
            done=done,
            finish_reason=finish_reason,
        )
        self._seq += 1
        with suppress(*self._lost_on):
            await self._send(delta)


def _joined(earlier: DeltaPiece, later: DeltaPiece) -> DeltaPiece | None:
    """Both as one piece, if they are of the same part."""
    if (earlier.type, earlier.part) != (later.type, later.part):
        return None
    if earlier.tool_call is None or later.tool_call is None:
        return DeltaPiece(earlier.type, earlier.part, (earlier.content or "") + (later.content or ""))
    first, second = earlier.tool_call, later.tool_call
    call = ToolCallDeltaV1(id=first.id or second.id, name=first.name or second.name, arguments_delta=first.arguments_delta + second.arguments_delta)
    return DeltaPiece("tool_call", earlier.part, tool_call=call)
