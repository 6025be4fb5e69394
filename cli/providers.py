"""`headrace providers`: which types are known and what they can do; whether the configured ones can be reached."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from catalog.capabilities import capabilities
from catalog.kinds import ProviderKind, kinds
from cli.asked import ask_adapters
from cli.configuring import checked, in_use, text_of_file
from cli.session import Failure, Session, run, session_of
from cli.show import as_json, console, escaped, notes
from contracts.config import ConfigV1

app = typer.Typer(help="Provider types and what they can do; configured providers and whether they can be reached.", no_args_is_help=True)


@app.command("list")
def types(context: typer.Context) -> None:
    """Every known type of provider: protocol, where the key goes, what it can do. Needs no server."""
    session = session_of(context)
    rows = [type_row(kind) for kind in kinds().values()]
    if session.json:
        as_json(rows)
        return
    table = Table(title="Provider types; what is not denied may be there, model by model")
    for name in ("type", "protocol", "key", "denied", "embeddings", "prompt caching", "batch", "health check"):
        table.add_column(name, overflow="fold")
    for row in rows:
        denied = ", ".join(name for name, there in row["capabilities"].items() if not there and name != "embeddings")
        table.add_row(
            row["type"], row["protocol"], row["key"], denied, _yes(row["embeddings"]), row["caching"], _yes(row["batch"]), escaped(row["health"] or "")
        )
    console().print(table)


def type_row(kind: ProviderKind) -> dict[str, Any]:
    """What the catalog says of one type."""
    known = capabilities()[kind.type]
    return {
        "type": kind.type,
        "protocol": kind.protocol,
        "key": kind.key_goes,
        "key_required": kind.key_required,
        "base_url": kind.base_url,
        "capabilities": dict(kind.capabilities),
        "embeddings": kind.capabilities.get("embeddings", True),
        "caching": known.caching.marker,
        "batch": known.supports_batch,
        "health": kind.health_path,
        "free": kind.free,
    }


def _yes(there: bool) -> str:
    return "yes" if there else "no"


@app.command("check")
def check(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="These providers; all configured ones if none is given.")] = None,
    config: Annotated[Path | None, typer.Option(help="Check the providers of this file, from here.", exists=True, dir_okay=False)] = None,
) -> None:
    """Reach each provider's free endpoint and say what is wrong, and how to mend it; exit 1 if anything is. No model is asked.

    The adapters do it, since the keys are theirs; this process does, with its own environment, where none answers.
    """
    run(_check(session_of(context), ids or [], config))


async def _check(session: Session, ids: list[str], file: Path | None) -> int:
    if file is not None:
        rows = await _from_here(checked(text_of_file(file)), ids)
    else:
        rows = await _from_adapters(session, ids)
    if session.json:
        as_json(rows)
    else:
        for row in rows:
            print(line(row))
    return 0 if all(row["ok"] for row in rows) else 1


async def _from_adapters(session: Session, ids: list[str]) -> list[dict[str, Any]]:
    async with session.bus() as bus:
        rows = await ask_adapters(bus, "providers", ids)
    if rows is not None:
        return rows
    notes().print("no adapter answers: checked from here, with the environment of this command")
    return await _from_here((await in_use(session))[0], ids)


async def _from_here(config: ConfigV1, ids: list[str]) -> list[dict[str, Any]]:
    from services.adapters.inspection import inspect_all  # the clients take a while that no other command should pay
    from services.adapters.providers import Providers

    unknown = set(ids) - {provider.id for provider in config.providers}
    if unknown:
        raise Failure(f"not configured: {', '.join(sorted(unknown))}")
    providers = Providers(os.environ)
    await providers.start()
    try:
        providers.take(config, 0)
        chosen = tuple(provider for provider in config.providers if not ids or provider.id in ids)
        return [dict(row) for row in await inspect_all(providers, chosen)]
    finally:
        await providers.close()


def line(row: dict[str, Any]) -> str:
    """One provider on one line."""
    took = "" if row["latency_s"] is None else f" {row['latency_s'] * 1000:.0f} ms"
    note = f" ({row['note']})" if row["note"] else ""
    told = f"ok{took}{note}" if row["ok"] else "; ".join(row["problems"])
    return f"{row['provider']} ({row['type']}): {told}"
