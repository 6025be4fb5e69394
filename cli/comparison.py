"""Old and new results side by side: which answers agree, and what both cost. Pure."""

import json
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from contracts.content import text_of
from contracts.result import ResultV1

NOTHING = "none"
"""The status of a request that has no result yet."""


@dataclass(frozen=True)
class Pair:
    """One replayed request. `old` is None where the original has no result, `new` where the replay has none."""

    request_id: str
    replay_id: str
    sent: bool
    old: ResultV1 | None
    new: ResultV1

    @property
    def equal(self) -> bool | None:
        """Whether both said the same, word for word; None where one of them has no answer."""
        return None if self.old is None else _both(said(self.old), said(self.new))

    @property
    def parsed_equal(self) -> bool | None:
        """Whether both hold the same JSON value, however it is written; None where one of them holds none."""
        return None if self.old is None else _both(value_in(self.old), value_in(self.new))

    def row(self) -> dict[str, Any]:
        names = {"request_id": self.request_id, "replay_id": self.replay_id, "sent": self.sent}
        return {**names, "equal": self.equal, "parsed_equal": self.parsed_equal, "old": _side(self.old), "new": _side(self.new)}


@dataclass
class Sum:
    """Statuses and cost of one side; an unknown cost makes the total unknown, and the known rest stays visible."""

    statuses: Counter[str] = field(default_factory=Counter)
    cost_usd: Decimal | None = Decimal(0)
    cost_known_usd: Decimal = Decimal(0)

    def add(self, result: ResultV1 | None) -> None:
        self.statuses[result.status if result else NOTHING] += 1
        cost = result.cost_usd if result else None
        self.cost_usd = None if cost is None or self.cost_usd is None else self.cost_usd + cost
        self.cost_known_usd += result.cost_known_usd if result else 0

    def row(self) -> dict[str, Any]:
        cost = None if self.cost_usd is None else f"{self.cost_usd:f}"
        return {"statuses": dict(self.statuses), "cost_usd": cost, "cost_known_usd": f"{self.cost_known_usd:f}"}


@dataclass
class Totals:
    """What all pairs come to."""

    requests: int = 0
    sent: int = 0
    compared: int = 0
    equal: int = 0
    parsed_compared: int = 0
    parsed_equal: int = 0
    old: Sum = field(default_factory=Sum)
    new: Sum = field(default_factory=Sum)

    def add(self, pair: Pair) -> None:
        self.requests += 1
        self.sent += pair.sent
        self.compared += pair.equal is not None
        self.equal += pair.equal is True
        self.parsed_compared += pair.parsed_equal is not None
        self.parsed_equal += pair.parsed_equal is True
        self.old.add(pair.old)
        self.new.add(pair.new)

    def row(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in ("requests", "sent", "compared", "equal", "parsed_compared", "parsed_equal")}
        return {**counts, "old": self.old.row(), "new": self.new.row()}


def said(result: ResultV1) -> Any:
    """What can be compared of an answer: its text and tool calls, or its vectors; None where there is none."""
    if result.status != "succeeded":
        return None
    if result.embeddings is not None:
        return result.embeddings
    if result.message is None:
        return None
    return text_of(result.message.all_parts()), _tool_calls(result)


def value_in(result: ResultV1) -> Any:
    """The JSON value of an answer, checked by a schema or simply written; None where it is prose."""
    if result.status != "succeeded" or result.message is None:
        return None
    if result.parsed is not None:
        return result.parsed
    try:
        value = json.loads(text_of(result.message.all_parts()))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _both(old: Any, new: Any) -> bool | None:
    return None if old is None or new is None else bool(old == new)


def _side(result: ResultV1 | None) -> dict[str, Any] | None:
    if result is None:
        return None
    document = result.model_dump(mode="json", include={"status", "route", "provider", "model", "parsed", "cost_usd", "cost_known_usd", "duration_s", "error"})
    text = text_of(result.message.all_parts()) if result.message else None
    return {**document, "text": text, "tool_calls": _tool_calls(result)}


def _tool_calls(result: ResultV1) -> list[dict[str, Any]]:
    """Without their ids, which no two answers share."""
    parts = result.message.all_parts() if result.message else ()
    return [{"name": part.name, "arguments": part.arguments} for part in parts if part.type == "tool_call"]
