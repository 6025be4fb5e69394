"""Questions to the adapters, which hold the keys, over the bus."""

import json
from typing import Any

from bus.connection import Bus
from bus.errors import Unavailable
from cli.session import Failure

ANSWER_TIMEOUT_S = 45.0
"""A check and all pages of a listing, one after the other, and the question of somebody else before."""


async def ask_adapters(bus: Bus, what: str, chosen: list[str]) -> list[dict[str, Any]] | None:
    """The rows of the answer; None where no adapter answers. Raises Failure where the question is refused."""
    try:
        reply = await bus.request(bus.subjects.query(what), json.dumps({"providers": chosen}).encode(), timeout_s=ANSWER_TIMEOUT_S)
    except Unavailable:
        return None
    try:
        answer = json.loads(reply.data)
    except ValueError as error:
        raise Failure(f"the adapters' answer is not JSON: {reply.data[:200]!r}") from error
    if "rows" not in answer:
        raise Failure(f"the adapters refused: {answer.get('error', answer)}")
    return list(answer["rows"])
