"""How much a durable consumer may hold unacknowledged: read, and changed while it is in use."""

from typing import Any

from pydantic import BaseModel

from bus.connection import Bus
from bus.errors import Unavailable
from bus.stored import ApiError

CONSUMER_NOT_FOUND = 10014
ANSWER_S = 2.0
"""A consumer of a cluster that has no leader now does not answer; the next look asks again."""


class Holding(BaseModel):
    """What a consumer may hold, what it holds, and what still waits for it."""

    config: dict[str, Any] = {}
    num_ack_pending: int = 0
    num_pending: int = 0
    error: ApiError | None = None

    @property
    def limit(self) -> int:
        return int(self.config["max_ack_pending"])


async def holding(bus: Bus, stream: str, durable: str) -> Holding | None:
    """A consumer's limit and load, by its leader; None: there is no such consumer. Raises Unavailable."""
    answer = await bus.request(f"$JS.API.CONSUMER.INFO.{stream}.{durable}", b"", timeout_s=ANSWER_S)
    return _checked(Holding.model_validate_json(answer.data), durable)


async def limit(bus: Bus, stream: str, durable: str, held: Holding, most: int) -> Holding | None:
    """Change a consumer's limit and nothing else; None: it is gone, and is not made again. Raises Unavailable."""
    request = Change(stream_name=stream, config={**held.config, "max_ack_pending": most})
    answer = await bus.request(f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{durable}", request.model_dump_json().encode(), timeout_s=ANSWER_S)
    return _checked(Holding.model_validate_json(answer.data), durable)


class Change(BaseModel):
    """The server's request. `update` refuses to create."""

    stream_name: str
    config: dict[str, Any]
    action: str = "update"


def _checked(found: Holding, durable: str) -> Holding | None:
    if found.error is None:
        return found
    if found.error.err_code == CONSUMER_NOT_FOUND or "does not exist" in found.error.description:
        return None
    raise Unavailable(f"consumer {durable!r}: {found.error.description} ({found.error.err_code})")
