"""Sums of the ledger: exact, and null where a call of unknown price is in the sum."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import ColumnElement, Engine, func, select

from services.meter.entries import utc_text
from services.meter.ledger import calls

Dimension = Literal["tenant", "provider", "model", "day", "route", "lane"]
COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")


def _moment(value: object) -> object:
    """A bare date is its midnight, UTC."""
    if isinstance(value, str) and len(value) == len("2026-11-21"):
        try:
            return datetime.combine(date.fromisoformat(value), time(), UTC)
        except ValueError:
            return value
    return value


Moment = Annotated[datetime, BeforeValidator(_moment)]


class CostQuestion(BaseModel):
    """What to sum up, and by what. `since` is included, `until` is not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: tuple[Dimension, ...] = Field(default=("tenant", "provider", "model"), min_length=1)
    since: Moment | None = None
    until: Moment | None = None
    tenant: str | None = None


def report(engine: Engine, question: CostQuestion) -> dict[str, Any]:
    """Rows by dimension with calls, tokens and cost, and the total.

    Equal costs are counted by the database and multiplied here, so that the sum is exact without decimals in SQL.
    """
    dimensions = [calls.c[name] for name in dict.fromkeys(question.by)]
    counts = [func.sum(calls.c[name]).label(name) for name in COUNTS] + [func.count(calls.c[name]).label(f"{name}_known") for name in COUNTS]
    estimates = func.count().filter(calls.c.estimated).label("calls_estimated")
    wanted = select(*dimensions, calls.c.cost_usd, func.count().label("calls"), estimates, *counts).where(*_filters(question))
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    with engine.connect() as connection:
        for found in connection.execute(wanted.group_by(*dimensions, calls.c.cost_usd).order_by(*dimensions)).mappings():
            names = {column.name: found[column.name] for column in dimensions}
            _add(rows.setdefault(tuple(names.values()), _empty(names)), found)
    total = _empty({})
    for row in rows.values():
        for name in ("calls", "calls_unpriced", "calls_estimated", "cost_known_usd"):
            total[name] += row[name]
    return {
        "rows": [_plain(row) for row in rows.values()],
        **{f"total_{name.removeprefix('cost_')}": value for name, value in _plain(total).items() if name not in COUNTS},
    }


def _filters(question: CostQuestion) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    if question.tenant is not None:
        filters.append(calls.c.tenant == question.tenant)
    if question.since is not None:
        filters.append(calls.c.occurred_at >= utc_text(question.since))
    if question.until is not None:
        filters.append(calls.c.occurred_at < utc_text(question.until))
    return filters


def _empty(names: Mapping[str, Any]) -> dict[str, Any]:
    return {**names, "calls": 0, "calls_unpriced": 0, "calls_estimated": 0, "cost_known_usd": Decimal(0), **dict.fromkeys(COUNTS, 0)}


def _add(row: dict[str, Any], found: Mapping[Any, Any]) -> None:
    row["calls"] += found["calls"]
    row["calls_estimated"] += found["calls_estimated"]
    for name in COUNTS:
        unknown = row[name] is None or found[f"{name}_known"] < found["calls"]
        row[name] = None if unknown else row[name] + found[name]
    if found["cost_usd"] is None:
        row["calls_unpriced"] += found["calls"]
    else:
        row["cost_known_usd"] += Decimal(found["cost_usd"]) * found["calls"]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Money as text; a sum with an unknown addend is null."""
    known = f"{row['cost_known_usd'].normalize():f}"
    return {**row, "cost_usd": None if row["calls_unpriced"] else known, "cost_known_usd": known}
