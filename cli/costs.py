"""`headrace cost`: what was spent, asked from the meter's ledger; its subcommands mend the ledger."""

import csv
import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from bus.connection import Bus
from bus.errors import Unavailable
from cli.moments import moment_of
from cli.session import Failure, Session, run, session_of
from cli.show import as_json, console, escaped, money

GROUPS = ("tenant", "provider", "model", "day", "route", "lane", "kind")
METADATA = "metadata."
DEFAULT_GROUPS = "tenant,provider,model"
AMOUNTS = (
    "calls",
    "calls_unpriced",
    "calls_estimated",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cost_usd",
    "cost_known_usd",
)
ANSWER_TIMEOUT_S = 60.0
"""Sums over millions of calls take seconds."""

app = typer.Typer(help="What was spent; and the ledger rebuilt or priced again.", invoke_without_command=True)

Since = Annotated[str | None, typer.Option(help="Calls from then on: an age (10m, 2h), a date or a time.")]
Until = Annotated[str | None, typer.Option(help="Calls before then: an age, a date or a time.")]
LedgerUrl = Annotated[
    str | None,
    typer.Option("--ledger", metavar="URL", help="sqlite:///FILE or postgresql://…; else HEADRACE_METER_LEDGER_URL, else the file that the meter writes."),
]


@app.callback()
def cost(
    context: typer.Context,
    by: Annotated[str, typer.Option(help=f"Group by these, with commas: {', '.join(GROUPS)}, {METADATA}KEY.")] = DEFAULT_GROUPS,
    since: Since = None,
    until: Until = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header line; what is unknown is left empty.")] = False,
) -> None:
    """What was spent; all tenants, or the one of --tenant. An unknown price is unknown, not zero."""
    session = session_of(context)
    if context.invoked_subcommand is not None:
        if (by, since, until, as_csv) != (DEFAULT_GROUPS, None, None, False):
            raise typer.BadParameter(f"options of '{context.invoked_subcommand}' stand behind it", param_hint="cost")
        return
    if as_csv and session.json:
        raise typer.BadParameter("choose one of --csv and --json", param_hint="--csv")
    run(_cost(session, question_of(by, since, until, session.tenant_given), as_csv))


@app.command("rebuild")
def rebuild(context: typer.Context, ledger: LedgerUrl = None) -> None:
    """Bring the ledger to what the streams COSTS and ATTEMPTS hold. Rows that they no longer hold stay; it can run twice, and beside meters."""
    from cli import ledgers  # SQLAlchemy takes a while that no other command should pay

    run(ledgers.rebuild(session_of(context), ledger))


@app.command("reprice")
def reprice(
    context: typer.Context,
    ledger: LedgerUrl = None,
    since: Since = None,
    until: Until = None,
    provider: Annotated[str | None, typer.Option(help="Calls of this provider.")] = None,
    model: Annotated[str | None, typer.Option(help="Calls of this model, as its provider names it.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Then correct the ledger, and publish the corrected costs.")] = False,
) -> None:
    """Price the ledger's calls again by the configuration and the catalog of now, and show what differs. Nothing changes without --write."""
    from cli import ledgers  # SQLAlchemy takes a while that no other command should pay
    from services.meter.report import Choice

    session, now = session_of(context), datetime.now(UTC)
    window = {"since": since and moment_of(since, now, "--since"), "until": until and moment_of(until, now, "--until")}
    choice = Choice(**window, tenant=session.tenant_given, provider=provider, model=model)
    run(ledgers.reprice(session, ledger, choice, write))


def question_of(by: str, since: str | None, until: str | None, tenant: str | None) -> dict[str, Any]:
    """What the meter is asked. Raises BadParameter."""
    groups = list(dict.fromkeys(name.strip() for name in by.split(",") if name.strip()))
    strange = [name for name in groups if name not in GROUPS and (not name.startswith(METADATA) or name == METADATA)]
    if strange or not groups:
        raise typer.BadParameter(f"{', '.join(strange) or 'nothing'}: choose from {', '.join(GROUPS)}, {METADATA}KEY", param_hint="--by")
    now = datetime.now(UTC)
    window = {"since": since and moment_of(since, now, "--since").isoformat(), "until": until and moment_of(until, now, "--until").isoformat()}
    return {"by": groups, **window, "tenant": tenant}


async def _cost(session: Session, question: dict[str, Any], as_csv: bool) -> int:
    async with session.bus() as bus:
        answer = await ask_meter(bus, question)
    if session.json:
        as_json(answer)
    elif as_csv:
        lines = csv.writer(sys.stdout, lineterminator="\n")
        lines.writerow([*question["by"], *AMOUNTS])
        lines.writerows([row.get(name) for name in (*question["by"], *AMOUNTS)] for row in answer["rows"])
    else:
        console().print(_table(question["by"], answer))
    return 0


def _table(groups: list[str], answer: dict[str, Any]) -> Table:
    table = Table(title=f"Cost, total {money(answer['total_usd'])}")
    for name in (*groups, "calls", "cost"):
        table.add_column(escaped(name), justify="right" if name in ("calls", "cost") else "left")
    for row in answer["rows"]:
        table.add_row(*(escaped(str(row.get(name) or "")) for name in groups), str(row["calls"]), money(row["cost_usd"]))
    return table


async def ask_meter(bus: Bus, question: dict[str, Any], about: str = "cost") -> dict[str, Any]:
    """The ledger's rows and their total, or what else the meter knows about. Raises Failure when no meter answers."""
    try:
        reply = await bus.request(bus.subjects.query(about), json.dumps(question).encode(), timeout_s=ANSWER_TIMEOUT_S)
    except Unavailable as error:
        raise Failure("no meter answers on this server: start one with 'headrace up' or 'python -m services.meter'") from error
    try:
        answer = json.loads(reply.data)
    except ValueError as error:
        raise Failure(f"the meter's answer is not JSON: {reply.data[:200]!r}") from error
    if "error" in answer:
        raise Failure(f"the meter refused: {answer['error']}")
    return dict(answer)
