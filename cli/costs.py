"""`headrace cost`: what was spent, asked from the meter's ledger."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from bus.connection import Bus
from bus.errors import Unavailable
from cli.session import Failure, Session, run, session_of
from cli.show import as_json, console, money

GROUPS = ("tenant", "provider", "model", "day", "route", "lane")


def register(app: typer.Typer) -> None:
    app.command("cost")(cost)


def cost(
    context: typer.Context,
    by: Annotated[str, typer.Option(help=f"Group by these, with commas: {', '.join(GROUPS)}.")] = "tenant,provider,model",
) -> None:
    """What was spent; all tenants, or the one of --tenant. An unknown price is unknown, not zero."""
    groups = [name.strip() for name in by.split(",") if name.strip()]
    strange = [name for name in groups if name not in GROUPS]
    if strange or not groups:
        raise typer.BadParameter(f"{', '.join(strange) or 'nothing'}: choose from {', '.join(GROUPS)}", param_hint="--by")
    run(_cost(session_of(context), groups))


async def _cost(session: Session, groups: list[str]) -> int:
    async with session.bus() as bus:
        answer = await ask_meter(bus, groups, session.tenant_given)
    if session.json:
        as_json(answer)
        return 0
    table = Table(title=f"Cost, total {money(answer['total_usd'])}")
    for name in (*groups, "calls", "cost"):
        table.add_column(name, justify="right" if name in ("calls", "cost") else "left")
    for row in answer["rows"]:
        table.add_row(*(str(row.get(name) or "") for name in groups), str(row["calls"]), money(row["cost_usd"]))
    console().print(table)
    return 0


async def ask_meter(bus: Bus, groups: list[str], tenant: str | None = None) -> dict[str, Any]:
    """The ledger's rows and their total. Raises Failure when no meter answers."""
    question = json.dumps({"by": groups, "tenant": tenant}).encode()
    try:
        reply = await bus.request(bus.subjects.query("cost"), question, timeout_s=10)
    except Unavailable as error:
        raise Failure("no meter answers on this server: start one with 'headrace up' or 'python -m services.meter'") from error
    try:
        answer = json.loads(reply.data)
    except ValueError as error:
        raise Failure(f"the meter's answer is not JSON: {reply.data[:200]!r}") from error
    if "rows" not in answer:
        raise Failure(f"the meter refused: {answer.get('error', answer)}")
    return dict(answer)
