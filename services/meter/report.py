"""Sums of the ledger: exact, and null where a call of unknown price is in the sum."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import ColumnElement, Engine, RowMapping, func, select

from services.meter.ledger import calls
from storage.database import exact_sum
from storage.texts import utc_text

DIMENSIONS = ("tenant", "provider", "model", "day", "route", "lane", "kind")
METADATA = "metadata."
UNADDRESSABLE = frozenset('"\\\0')
"""SQLite's JSON paths cannot name a key with one of these."""
TOTALS: Mapping[str, Any] = {"calls": 0, "calls_unpriced": 0, "calls_estimated": 0, "cost_known_usd": Decimal(0)}
COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")


def checked_dimension(name: str) -> str:
    """A column, or `metadata.KEY`. Raises ValueError."""
    if name in DIMENSIONS:
        return name
    key = name.removeprefix(METADATA)
    if not name.startswith(METADATA) or not key:
        raise ValueError(f"{name!r} is not known: choose from {', '.join(DIMENSIONS)} and {METADATA}KEY")
    if UNADDRESSABLE & set(key):
        raise ValueError(f"the metadata key {key!r} has a quote, a backslash or a zero byte in it: costs cannot be reported by it")
    return name


def _moment(value: object) -> object:
    """A bare date is its midnight, UTC."""
    if isinstance(value, str) and len(value) == len("2026-11-21"):
        try:
            return datetime.combine(date.fromisoformat(value), time(), UTC)
        except ValueError:
            return value
    return value


Moment = Annotated[datetime, BeforeValidator(_moment)]


class Choice(BaseModel):
    """Which calls. `since` is included, `until` is not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Moment | None = None
    until: Moment | None = None
    tenant: str | None = None
    provider: str | None = None
    model: str | None = None

    def filters(self) -> list[ColumnElement[bool]]:
        wanted = [calls.c[name] == value for name in ("tenant", "provider", "model") if (value := getattr(self, name)) is not None]
        if self.since is not None:
            wanted.append(calls.c.occurred_at >= utc_text(self.since))
        if self.until is not None:
            wanted.append(calls.c.occurred_at < utc_text(self.until))
        return wanted


class CostQuestion(Choice):
    """What to sum up, and by what."""

    by: tuple[Annotated[str, AfterValidator(checked_dimension)], ...] = Field(default=("tenant", "provider", "model"), min_length=1)


def report(engine: Engine, question: CostQuestion) -> dict[str, Any]:
    """Rows by dimension with calls, tokens and cost, and the total."""
    names = list(dict.fromkeys(question.by))
    labels = [f"dimension_{index}" for index in range(len(names))]
    dimensions = [_expression(name).label(label) for name, label in zip(names, labels, strict=True)]
    wanted = select(*dimensions, *_sums(engine)).where(*question.filters()).group_by(*labels)
    with engine.connect() as connection:
        found = {tuple(row[label] for label in labels): _read(row) for row in connection.execute(wanted).mappings()}
    total = {name: sum((row[name] for row in found.values()), start) for name, start in TOTALS.items()}
    in_order = sorted(found, key=lambda values: [(value is not None, value) for value in values])  # each database has an order of its own
    return {
        "rows": [{**dict(zip(names, values, strict=True)), **_plain(found[values])} for values in in_order],
        **{f"total_{name.removeprefix('cost_')}": value for name, value in _plain(total).items()},
    }


def _expression(name: str) -> ColumnElement[Any]:
    return calls.c.metadata[name.removeprefix(METADATA)].as_string() if name.startswith(METADATA) else calls.c[name]


def _sums(engine: Engine) -> Iterator[ColumnElement[Any]]:
    yield func.count().label("calls")
    yield (func.count() - func.count(calls.c.cost_usd)).label("calls_unpriced")
    yield func.count().filter(calls.c.estimated).label("calls_estimated")
    yield exact_sum(engine, calls.c.cost_usd).label("cost_known_usd")
    for name in COUNTS:
        yield func.sum(calls.c[name]).label(name)
        yield func.count(calls.c[name]).label(f"{name}_known")


def _read(row: RowMapping) -> dict[str, Any]:
    """One group; a count that some call does not know is unknown in the sum. PostgreSQL's sum of integers is a decimal."""
    counted = {name: row[name] for name in ("calls", "calls_unpriced", "calls_estimated")}
    tokens = {name: int(row[name]) if row[f"{name}_known"] == row["calls"] else None for name in COUNTS}
    return {**counted, "cost_known_usd": Decimal(row["cost_known_usd"] or 0), **tokens}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Money as text; a sum with an unknown addend is null."""
    known = f"{row['cost_known_usd'].normalize():f}"
    return {**row, "cost_usd": None if row["calls_unpriced"] else known, "cost_known_usd": known}
