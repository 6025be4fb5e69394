"""`headrace models`: what can be asked for, from the configuration and the catalog."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.table import Table

from catalog.models import Catalog, Offer
from cli.asked import ask_adapters
from cli.configuring import in_use
from cli.session import Failure, Session, run, session_of
from cli.show import as_json, console, escaped, notes
from contracts.config import ConfigV1, ModelV1


def register(app: typer.Typer) -> None:
    app.command("models")(models)


def models(
    context: typer.Context,
    remote: Annotated[bool, typer.Option("--remote", help="Also what the providers list themselves, at most five minutes old; the adapters ask them.")] = False,
) -> None:
    """Every configured model with its routes, context window and price."""
    run(_remote(session_of(context)) if remote else _models(session_of(context)))


async def _models(session: Session) -> int:
    config, revision = await in_use(session)
    _print(session, [_row(offer, _routes(config, str(offer))) for offer in Catalog(config, revision=revision).offers()])
    return 0


async def _remote(session: Session) -> int:
    """Configured models and listed ones, provider by provider; what a provider could not list is said beside the rows."""
    config, revision = await in_use(session)
    async with session.bus() as bus:
        listings = await ask_adapters(bus, "models", [])
    if listings is None:
        raise Failure("no adapter answers on this server: start one with 'headrace up' or 'python -m services.adapters'")
    for listing in listings:
        if listing["problem"]:
            age = f"; listed at {listing['listed_at']}" if listing["stale"] else ""
            notes().print(escaped(f"{listing['provider']}: {listing['problem']}{age}"))
    _print(session, remote_rows(config, revision, {listing["provider"]: listing for listing in listings}))
    return 0


def remote_rows(config: ConfigV1, revision: int, listings: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each model that is configured or listed. `listed` is None where the provider's listing is not known."""
    configured = {str(offer) for offer in Catalog(config, revision=revision).offers()}
    whole = config.model_copy(
        update={
            "providers": tuple(
                provider.model_copy(update={"models": _with_listed(provider.models, listings.get(provider.id, {}).get("models") or ())})
                for provider in config.providers
            )
        }
    )
    rows = []
    for offer in Catalog(whole, revision=revision).offers():
        names = listings.get(offer.provider, {}).get("models")
        listed = None if names is None else offer.model in names
        rows.append({**_row(offer, _routes(config, str(offer))), "configured": str(offer) in configured, "listed": listed})
    return rows


def _with_listed(models: tuple[ModelV1, ...], listed: Iterable[str]) -> tuple[ModelV1, ...]:
    known = {model.id for model in models}
    return (*models, *(ModelV1(id=name) for name in listed if name and name not in known))


def _print(session: Session, rows: list[dict[str, Any]]) -> None:
    if session.json:
        as_json(rows)
        return
    beside = ("configured", "listed") if rows and "listed" in rows[0] else ()
    table = Table(title="Models, prices in USD a million tokens")
    for name in ("model", "type", "routes", "context window", "input", "output", *beside):
        table.add_column(name, justify="right" if name in ("context window", "input", "output") else "left")
    for row in rows:
        facts = [_known(row[name]) for name in ("context_window", "input_mtok", "output_mtok")]
        marks = [{True: "yes", False: "no", None: "unknown"}[row[name]] for name in beside]
        table.add_row(escaped(row["model"]), row["type"], escaped(", ".join(row["routes"])), *facts, *marks)
    console().print(table)


def _row(offer: Offer, routes: list[str]) -> dict[str, Any]:
    return {
        "model": str(offer),
        "type": offer.type,
        "routes": routes,
        "context_window": offer.context_window,
        "input_mtok": _mtok(offer, "input"),
        "output_mtok": _mtok(offer, "output"),
        "price_version": offer.price.version if offer.price else None,
    }


def _routes(config: ConfigV1, model: str) -> list[str]:
    return [name for name, route in config.routes.items() if model in [candidate.model for candidate in route.candidates]]


def _mtok(offer: Offer, direction: str) -> str | None:
    """The first band's price a million tokens; None is unknown."""
    if offer.price is None:
        return None
    if offer.price.free:
        return "0"
    rate: Decimal | None = getattr(offer.price.seasons[0].bands[0][1], direction)
    return None if rate is None else f"{(rate * 1_000_000).normalize():f}"


def _known(value: object) -> str:
    return "unknown" if value is None else str(value)
