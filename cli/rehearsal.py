"""`headrace replay --dry-run`: what would be sent and about what it would cost; nothing is published."""

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from pydantic import ValidationError
from rich.table import Table

from bus import configuration, requests
from bus.connection import Bus
from bus.replay import Changes, NotReplayable, anew, result_of
from bus.requests import StoredRequest
from catalog.estimates import estimate_input_tokens
from catalog.models import Catalog
from cli.batches import bar
from cli.session import Session
from cli.show import JsonArray, console, money
from contracts.config import ConfigV1
from contracts.request import KINDS, ChatRequestV1
from services.router.routing import DEFAULT_OUTPUT_TOKENS, candidates_of

SHOWN = 20


class Prices:
    """About what a request would cost at the first candidate that its route or model names."""

    def __init__(self, found: tuple[ConfigV1, int] | None) -> None:
        self._config = found[0] if found else None
        self._catalog = Catalog(*found[:1], revision=found[1]) if found else None

    def estimate_usd(self, kind: str, body: bytes) -> Decimal | None:
        """None where the price is unknown, or where the request would be refused."""
        if self._config is None or self._catalog is None:
            return None
        try:
            request = KINDS[kind].model_validate_json(body)
        except ValidationError:
            return None
        found = candidates_of(request, kind, self._config)
        if not isinstance(found, tuple) or not found[1]:
            return None
        offer = self._catalog.find(found[1][0].provider, found[1][0].model)
        if offer is None or offer.price is None:
            return None
        output = (request.sampling.max_output_tokens or DEFAULT_OUTPUT_TOKENS) if isinstance(request, ChatRequestV1) else 0
        return offer.price.estimate(estimate_input_tokens(request), output)


class Rehearsal:
    """Takes what would be sent, as it comes."""

    def __init__(self, as_json: bool) -> None:
        self._array = JsonArray('{"dry_run": true, "requests": ') if as_json else None
        self._first: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self.estimated_usd: Decimal | None = Decimal(0)

    def add(self, row: dict[str, Any], cost: Decimal | None) -> None:
        self.counts["requests"] += 1
        self.counts["to_send"] += row["to_send"]
        if row["to_send"]:
            self.estimated_usd = None if cost is None or self.estimated_usd is None else self.estimated_usd + cost
        if self._array is not None:
            self._array.add(row)
        elif len(self._first) < SHOWN:
            self._first.append(row)

    def end(self, problems: list[str]) -> None:
        totals = {"requests": self.counts["requests"], "to_send": self.counts["to_send"], "estimated_usd": _plain(self.estimated_usd)}
        if self._array is not None:
            self._array.end(f',\n"not_replayable": {json.dumps(problems, ensure_ascii=False)},\n"totals": {json.dumps(totals)}}}')
            return
        table = Table(title=f"Would be sent (the first {SHOWN})" if self.counts["requests"] > SHOWN else "Would be sent")
        for name in ("request", "lane", "as", "about"):
            table.add_column(name, overflow="fold")
        for row in self._first:
            table.add_row(row["request_id"], row["lane"], row["replay_id"], money(row["estimated_usd"]) if row["to_send"] else "has its result")
        console().print(table)
        print(f"{totals['requests']} chosen, {totals['to_send']} to send, about {money(self.estimated_usd)}; nothing was sent")
        for problem in problems:
            print(f"cannot be replayed: {problem}")


async def rehearse(session: Session, changes: Changes, plan: Callable[[Bus], Awaitable[list[int]]]) -> int:
    """Exit 1 when something that was chosen cannot be replayed."""
    rehearsal, problems = Rehearsal(session.json), []
    async with session.bus() as bus:
        prices = Prices(await configuration.read(bus))
        with bar("look") as progress:
            todo = await plan(bus)
            progress.expect(len(todo))
            for seq in todo:
                try:
                    rehearsal.add(*await _row(bus, await requests.at(bus, seq), changes, prices))
                except (NotReplayable, ValueError) as error:
                    problems.append(str(error))
                progress.advance()
    rehearsal.end(problems)
    return 1 if problems else 0


async def _row(bus: Bus, request: StoredRequest | None, changes: Changes, prices: Prices) -> tuple[dict[str, Any], Decimal | None]:
    if request is None:
        raise NotReplayable("a request has left REQUESTS (48 h) meanwhile")
    prepared = anew(bus, request, changes)
    cost = prices.estimate_usd(request.kind, prepared.body)
    to_send = await result_of(bus, prepared.tenant, prepared.request_id) is None
    row = {"request_id": request.request_id, "replay_id": prepared.request_id, "lane": request.lane, "to_send": to_send, "estimated_usd": _plain(cost)}
    return row, cost


def _plain(cost: Decimal | None) -> str | None:
    return None if cost is None else f"{cost:f}"
