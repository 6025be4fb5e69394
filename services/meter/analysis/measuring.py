"""The figures, as SQL on the ledger: sums by hour and model, percentiles, and the calls beyond a limit. Only small answers leave the database."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, get_args

from sqlalchemy import ColumnElement, Engine, Float, and_, case, cast, func, literal, or_, select

from contracts.outcome import FailureType
from services.meter.analysis.figures import Group, Latency, Measure, Model, Outliers
from services.meter.analysis.findings import LARGE_TOKENS
from services.meter.ledger import calls
from services.meter.report import Choice
from storage.database import exact_sum

ANSWERED = "answered"
REQUEST_FAULTS = ("invalid_request", "context_too_long", "content_filtered", "expired", "cancelled")
PROVIDER_FAULTS = tuple(name for name in get_args(FailureType) if name not in REQUEST_FAULTS)
Limits = Mapping[tuple[Model, Measure], tuple[float, float]]

answered = calls.c.outcome == ANSWERED
timed = and_(answered, calls.c.duration_s.is_not(None))
tokens = cast(func.coalesce(calls.c.input_tokens, 0) + func.coalesce(calls.c.output_tokens, 0), Float)
counted = or_(calls.c.input_tokens.is_not(None), calls.c.output_tokens.is_not(None))
cache_read, cache_write = func.coalesce(calls.c.cache_read_tokens, 0) > 0, func.coalesce(calls.c.cache_write_tokens, 0) > 0


def groups(engine: Engine, choice: Choice) -> list[Group]:
    """Sums of each model in each hour."""
    hour = func.substr(calls.c.occurred_at, 1, 13).label("hour")
    columns = (hour, calls.c.provider, calls.c.model)
    wanted = select(*columns, *_sums(engine)).where(*choice.filters()).group_by(*columns).order_by(*columns)
    with engine.connect() as connection:
        return [_group(dict(row)) for row in connection.execute(wanted).mappings()]


def _sums(engine: Engine) -> list[ColumnElement[Any]]:
    seconds = calls.c.duration_s
    wasted = case((calls.c.outcome != ANSWERED, calls.c.cost_usd))
    return [
        func.count().label("calls"),
        func.count().filter(answered).label("answered"),
        func.count().filter(calls.c.outcome.in_(PROVIDER_FAULTS)).label("faults"),
        func.count().filter(calls.c.outcome.in_(REQUEST_FAULTS)).label("refused"),
        func.count().filter(timed).label("timed"),
        func.sum(seconds).filter(timed).label("duration_s"),
        func.sum(seconds * seconds).filter(timed).label("duration_s_squared"),
        func.count().filter(counted).label("counted"),
        func.sum(tokens).filter(counted).label("tokens"),
        func.sum(tokens * tokens).filter(counted).label("tokens_squared"),
        func.count().filter(tokens > LARGE_TOKENS).label("large"),
        func.count(calls.c.cache_read_tokens).filter(answered).label("cache_known"),
        func.count().filter(and_(answered, or_(cache_read, cache_write))).label("cache_used"),
        func.count().filter(and_(answered, cache_read)).label("cache_hits"),
        func.sum(calls.c.output_tokens).label("output_tokens"),
        exact_sum(engine, calls.c.cost_usd).label("cost_usd"),
        exact_sum(engine, wasted).label("wasted_usd"),
    ]


def _group(row: dict[str, Any]) -> Group:
    """Sums of nothing are null in SQL; PostgreSQL's are decimals."""
    money = {name: Decimal(row[name] or 0) for name in ("cost_usd", "wasted_usd")}
    real = {name: float(row[name] or 0) for name in ("duration_s", "duration_s_squared", "tokens", "tokens_squared")}
    return Group(**{**row, "output_tokens": int(row["output_tokens"] or 0), **money, **real})


def latencies(engine: Engine, choice: Choice) -> dict[str, Latency]:
    """By provider, by nearest rank."""
    seconds = calls.c.duration_s.label("seconds")
    place = func.row_number().over(partition_by=calls.c.provider, order_by=seconds).label("place")
    total = func.count().over(partition_by=calls.c.provider).label("total")
    ranked = select(calls.c.provider, seconds, place, total).where(timed, *choice.filters()).subquery()
    parts = [func.min(ranked.c.seconds).filter(ranked.c.place >= ranked.c.total * part).label(name) for name, part in (("a", 0.5), ("b", 0.95), ("c", 0.99))]
    with engine.connect() as connection:
        rows = connection.execute(select(ranked.c.provider, *parts).group_by(ranked.c.provider))
        return {provider: Latency(provider, float(a), float(b), float(c)) for provider, a, b, c in rows}


def outliers(engine: Engine, choice: Choice, limits: Limits) -> list[Outliers]:
    """How many calls of each model lie above its limits, and the worst of each."""
    values: dict[Measure, tuple[ColumnElement[float], ColumnElement[bool]]] = {"duration_s": (calls.c.duration_s, timed), "tokens": (tokens, counted)}
    return [one for measure, (value, which) in values.items() for one in _beyond(engine, choice, limits, measure, value, which)]


def _beyond(engine: Engine, choice: Choice, limits: Limits, measure: Measure, value: ColumnElement[float], which: ColumnElement[bool]) -> list[Outliers]:
    own = {model: limit for (model, kind), (limit, _) in limits.items() if kind == measure}
    if not own:
        return []
    limit = case(*((and_(calls.c.provider == provider, calls.c.model == model), literal(most, Float)) for (provider, model), most in own.items()))
    by_model = (calls.c.provider, calls.c.model)
    place = func.row_number().over(partition_by=by_model, order_by=(value.desc(), calls.c.call_id)).label("place")
    total = func.count().over(partition_by=by_model).label("total")
    above = select(*by_model, calls.c.call_id, value.label("value"), place, total).where(which, value > limit, *choice.filters()).subquery()
    with engine.connect() as connection:
        rows = connection.execute(select(above).where(above.c.place == 1).order_by(above.c.provider, above.c.model))
        return [
            Outliers(provider, model, measure, *limits[(provider, model), measure], count=count, worst_call=call_id, worst=float(worst))
            for provider, model, call_id, worst, _, count in rows
        ]
