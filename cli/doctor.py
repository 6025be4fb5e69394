"""`headrace doctor`: is the server there, is it the right one, are streams and consumers as declared."""

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer
from nats.errors import TimeoutError as NoAnswer
from nats.js.errors import Error as JetStreamError
from rich.table import Table

from bus import configuration
from bus.configuration import BadConfiguration
from bus.connection import Bus
from bus.errors import Unavailable
from bus.provision import Sizing, drift, lagging, provision
from cli.session import CONNECT_TIMEOUT_S, Session, run, session_of
from cli.show import as_json, console, escaped, notes

OLDEST_SERVER = (2, 12)
"""Message scheduling and TTLs, which delayed calls and the journal rest on."""


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(
    context: typer.Context,
    apply: Annotated[bool, typer.Option("--apply", help="Create what is missing and mend what drifted.")] = False,
    replicas: Annotated[int | None, typer.Option(help="With --apply: copies of each stream in a cluster (1, 3 or 5); kept from then on.", min=1, max=5)] = None,
    requests_max_msgs: Annotated[int | None, typer.Option(help="With --apply: requests that REQUESTS holds at most; -1 takes the limit away.", min=-1)] = None,
    requests_max_bytes: Annotated[int | None, typer.Option(help="With --apply: bytes that REQUESTS holds at most; -1 takes the limit away.", min=-1)] = None,
) -> None:
    """Check server, versions, streams, consumers, limits and configuration. Exit 1 if anything is wrong."""
    sizing = Sizing(replicas, requests_max_msgs, requests_max_bytes)
    if not apply and sizing != Sizing():
        raise typer.BadParameter("sizes are changed only with --apply", param_hint="--apply")
    run(_doctor(session_of(context), sizing if apply else None))


async def _doctor(session: Session, sizing: Sizing | None) -> int:
    checks: list[tuple[str, bool, str]] = []
    try:
        async with session.bus() as bus:
            if sizing is not None:
                for line in await provision(bus, sizing):
                    notes().print(line, markup=False)
            checks += _server(bus)
            checks += await _jetstream(bus)
    except Unavailable as error:
        checks.append(("server", False, str(error) or f"no answer within {CONNECT_TIMEOUT_S:g} s"))
    healthy = all(ok for _, ok, _ in checks)
    if session.json:
        as_json({"ok": healthy, "checks": [{"name": name, "ok": ok, "detail": detail} for name, ok, detail in checks]})
    else:
        table = Table(show_header=False)
        for name, ok, detail in checks:
            table.add_row(name, "[green]ok[/green]" if ok else "[red]wrong[/red]", escaped(detail))
        console().print(table)
    return 0 if healthy else 1


def _server(bus: Bus) -> list[tuple[str, bool, str]]:
    server = bus.nc.connected_server_version
    new_enough = (server.major, server.minor) >= OLDEST_SERVER
    wanted = "" if new_enough else f"; at least {OLDEST_SERVER[0]}.{OLDEST_SERVER[1]} is needed"
    payload = bus.max_payload
    return [
        ("server", True, bus.url),
        ("version", new_enough, f"nats-server {server.major}.{server.minor}.{server.patch}, headrace {own_version()}{wanted}"),
        ("max_payload", payload >= 1 << 20, f"{payload} bytes: larger requests are refused; set max_payload in the server's configuration"),
    ]


def own_version() -> str:
    try:
        return version("headrace")
    except PackageNotFoundError:
        return "from source"


async def _jetstream(bus: Bus) -> list[tuple[str, bool, str]]:
    try:
        account = await bus.nc.jetstream(timeout=5).account_info()
        drifted = await drift(bus)
        behind = await lagging(bus)
    except (JetStreamError, NoAnswer) as error:
        return [("jetstream", False, f"{error}: start the server with JetStream (nats-server -js), or give credentials that may use it")]
    limits: Any = account.limits
    room = "unlimited" if limits.max_storage < 0 else f"of {limits.max_storage} bytes"
    checks = [("jetstream", True, f"{account.streams} streams, {account.consumers} consumers, {account.storage} bytes stored, {room}")]
    checks += [("drift", False, f"{line}; run 'headrace doctor --apply'") for line in drifted]
    checks += [("replicas", False, line) for line in behind]
    return checks + ([] if drifted else [("streams", True, "as declared")]) + [await _configuration(bus, bool(drifted))]


async def _configuration(bus: Bus, drifted: bool) -> tuple[str, bool, str]:
    try:
        found = await configuration.read(bus)
    except BadConfiguration as error:
        return ("configuration", False, "; ".join(error.problems))
    except Unavailable as error:
        return ("configuration", not drifted, str(error))
    if found is None:
        return ("configuration", False, "none yet: run 'headrace config push headrace.yaml'")
    return ("configuration", True, f"revision {found[1]}, {len(found[0].providers)} provider(s)")
