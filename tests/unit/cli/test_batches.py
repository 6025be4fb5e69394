"""Many things done at once, and outages of the bus waited out."""

import asyncio

import pytest

from bus.errors import Unavailable
from cli.batches import each, through_outages


def test_work_is_tried_again_while_the_bus_is_away() -> None:
    tries = iter([Unavailable("away"), Unavailable("away"), "done"])

    async def work() -> str:
        found = next(tries)
        if isinstance(found, Unavailable):
            raise found
        return str(found)

    assert asyncio.run(through_outages(work)) == "done"


def test_an_outage_that_lasts_ends_the_command_and_says_what_to_do() -> None:
    async def work() -> None:
        raise Unavailable("stream 'REQUESTS' does not answer")

    with pytest.raises(Unavailable, match="'REQUESTS' does not answer; what was sent is not lost: run the same command again"):
        asyncio.run(through_outages(work, outage_s=-1))


def test_items_are_begun_in_order_and_no_more_at_once_than_allowed() -> None:
    begun: list[int] = []
    running: list[int] = []
    most: list[int] = []

    async def work(item: int) -> None:
        begun.append(item)
        running.append(item)
        most.append(len(running))
        await asyncio.sleep(0)
        running.remove(item)

    asyncio.run(each(range(50), work, 7))
    assert (begun, max(most)) == (list(range(50)), 7)


def test_the_first_failure_is_raised_as_it_is() -> None:
    async def work(item: int) -> None:
        if item == 3:
            raise Unavailable("away")
        await asyncio.sleep(0)

    with pytest.raises(Unavailable, match="away"):
        asyncio.run(each(range(50), work, 4))
