"""`headrace models`: what can be asked for, from the configuration and the catalog."""

from decimal import Decimal
from typing import Any

import typer
from rich.table import Table

from catalog.models import Catalog, Offer
from cli.configuring import in_use
from cli.session import Session, run, session_of
from cli.show import as_json, console
from contracts.config import ConfigV1


def register(app: typer.Typer) -> None:
    app.command("models")(models)


def models(context: typer.Context) -> None:
    """Every configured model with its routes, context window and price."""
    run(_models(session_of(context)))


async def _models(session: Session) -> int:
    config, revision = await in_use(session)
    rows = [_row(offer, _routes(config, str(offer))) for offer in Catalog(config, revision=revision).offers()]
    if session.json:
        as_json(rows)
        return 0
    table = Table(title="Models, prices in USD a million tokens")
    for name in ("model", "type", "routes", "context window", "input", "output"):
        table.add_column(name, justify="right" if name in ("context window", "input", "output") else "left")
    for row in rows:
        table.add_row(row["model"], row["type"], ", ".join(row["routes"]), *(_known(row[name]) for name in ("context_window", "input_mtok", "output_mtok")))
    console().print(table)
    return 0


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
