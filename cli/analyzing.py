"""`headrace analyze`: what the ledger says of how the calls went, and what is worth a look."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from cli.costs import ask_meter
from cli.moments import moment_of
from cli.session import Session, run, session_of
from cli.show import as_json, console, escaped, money

STYLES = {"error": "red", "warning": "yellow", "info": "cyan"}
STATES = {"healthy": "green", "degraded": "yellow", "unhealthy": "red"}


def register(app: typer.Typer) -> None:
    app.command("analyze")(analyze)


def analyze(
    context: typer.Context,
    since: Annotated[str, typer.Option(help="Calls from then on: an age (10m, 2h), a date or a time.")] = "24h",
    until: Annotated[str | None, typer.Option(help="Calls before then: an age, a date or a time.")] = None,
) -> None:
    """Findings with what was measured, the threshold and what to do; then providers, models and hours. Of one tenant with --tenant."""
    session, now = session_of(context), datetime.now(UTC)
    window = {"since": moment_of(since, now, "--since").isoformat(), "until": until and moment_of(until, now, "--until").isoformat()}
    run(_analyze(session, {**window, "tenant": session.tenant_given}))


async def _analyze(session: Session, question: dict[str, Any]) -> int:
    async with session.bus() as bus:
        answer = await ask_meter(bus, question, "analysis")
    if session.json:
        as_json(answer)
    else:
        for table in (_findings(answer), _providers(answer), _models(answer), _hours(answer)):
            console().print(table)
    return 0


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left")
    return table


def _findings(answer: dict[str, Any]) -> Table:
    found = answer["findings"]
    table = _table(f"{len(found)} finding(s) in {answer['calls']} calls since {answer['since']}", "finding", "of", "what", ">measured", ">threshold", "to do")
    for one in found:
        style = STYLES.get(one["severity"], "white")
        figures = (f"{one['measured']:.4g}", f"{one['threshold']:.4g}")
        table.add_row(f"[{style}]{one['kind']}[/{style}]", escaped(one["subject"]), escaped(one["what"]), *figures, escaped(one["to_do"]))
    return table


def _providers(answer: dict[str, Any]) -> Table:
    table = _table("Providers; seconds of a call that was answered", "provider", ">calls", "state", ">reliability", ">p50", ">p95", ">p99")
    for one in answer["providers"]:
        style = STATES.get(one["state"], "white")
        times = (_number(one[name], ".3f") for name in ("p50_s", "p95_s", "p99_s"))
        table.add_row(escaped(one["provider"]), str(one["calls"]), f"[{style}]{one['state']}[/{style}]", _number(one["reliability"], ".2%"), *times)
    return table


def _models(answer: dict[str, Any]) -> Table:
    columns = (">calls", ">answered", ">tokens a call", ">known cost", ">without answer", ">$ per 1k output", ">cache hits")
    table = _table("Models", "model", *columns)
    for one in answer["models"]:
        spent = (money(one["cost_known_usd"]), money(one["wasted_usd"]), one["usd_per_1k_output_tokens"] or "-")
        counts = (str(one["calls"]), str(one["answered"]), _number(one["tokens_per_call"], ".0f"))
        table.add_row(escaped(f"{one['provider']}/{one['model']}"), *counts, *spent, _number(one["cache_hit_rate"], ".0%"))
    return table


def _hours(answer: dict[str, Any]) -> Table:
    table = _table("Hours of the day, UTC", "hour", ">calls", ">failed", ">seconds")
    for one in answer["hours"]:
        table.add_row(f"{one['hour']}:00", str(one["calls"]), f"{one['error_rate']:.1%}", _number(one["duration_s"], ".3f"))
    return table


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"
