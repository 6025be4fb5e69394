"""Pieces become few deltas, in order, the last one done."""

import asyncio

import pytest

from contracts.delta import DeltaV1, ToolCallDeltaV1
from services.adapters.coalesce import Coalescer
from services.adapters.protocol import DeltaPiece


class Sent:
    def __init__(self, error: Exception | None = None) -> None:
        self.deltas: list[DeltaV1] = []
        self.error = error

    async def __call__(self, delta: DeltaV1) -> None:
        self.deltas.append(delta)
        if self.error is not None:
            raise self.error


def text(content: str) -> DeltaPiece:
    return DeltaPiece("text", 0, content)


def test_many_pieces_make_few_deltas_that_add_up() -> None:
    async def run() -> list[DeltaV1]:
        sent = Sent()
        async with Coalescer(sent, "job-1", 2, interval_s=0.05) as deltas:
            for number in range(100):
                deltas.add(text(f"{number},"))
                await asyncio.sleep(0.001)
            await deltas.close("stop")
        return sent.deltas

    deltas = asyncio.run(run())
    assert "".join(delta.content or "" for delta in deltas) == "".join(f"{number}," for number in range(100))
    assert [delta.seq for delta in deltas] == list(range(len(deltas)))
    assert 3 <= len(deltas) <= 20
    assert [delta.done for delta in deltas] == [False] * (len(deltas) - 1) + [True]
    assert (deltas[-1].finish_reason, deltas[0].request_id, deltas[0].n) == ("stop", "job-1", 2)


def test_the_first_piece_goes_out_at_once_and_parts_stay_apart() -> None:
    async def run() -> tuple[int, list[DeltaV1]]:
        sent = Sent()
        async with Coalescer(sent, "job-1", 1, interval_s=60) as deltas:
            deltas.add(text("a"))
            await asyncio.sleep(0.01)
            first = len(sent.deltas)
            deltas.add(DeltaPiece("tool_call", 1, tool_call=ToolCallDeltaV1(id="c", name="f", arguments_delta="{")))
            deltas.add(DeltaPiece("tool_call", 1, tool_call=ToolCallDeltaV1(arguments_delta="}")))
            deltas.add(text("b"))
            await deltas.close()
        return first, sent.deltas

    first, deltas = asyncio.run(run())
    assert first == 1
    assert [(delta.type, delta.content) for delta in deltas] == [("text", "a"), ("tool_call", None), ("text", "b"), ("text", None)]
    assert deltas[1].tool_call == ToolCallDeltaV1(id="c", name="f", arguments_delta="{}")


@pytest.mark.parametrize("closed", [True, False])
def test_a_delta_that_cannot_be_sent_is_a_gap_not_an_error(closed: bool) -> None:
    async def run() -> None:
        async with Coalescer(Sent(ConnectionError("gone")), "job-1", 1) as deltas:
            deltas.add(text("a"))
            if closed:
                await deltas.close()

    asyncio.run(run())
