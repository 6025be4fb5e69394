"""`headrace search`: documents and results found by their words and by what they mean."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.table import Table

from bus.connection import Bus
from bus.errors import Unavailable
from cli.moments import moment_of
from cli.session import Failure, Session, run, session_of
from cli.show import as_json, console, escaped, notes
from contracts.search import MAX_HITS, FoundV1, HitV1, SearchV1

ANSWER_TIMEOUT_S = 30.0


def register(app: typer.Typer) -> None:
    app.command("search")(search)


def search(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is looked for: words, or a question.")],
    kind: Annotated[str | None, typer.Option(help="Only these: result or document.")] = None,
    collection: Annotated[str | None, typer.Option(help="Only documents of this collection.")] = None,
    since: Annotated[str | None, typer.Option(help="Stored or finished from then on: an age (10m, 2h), a date or a time.")] = None,
    until: Annotated[str | None, typer.Option(help="Before then: an age, a date or a time.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="KEY=VALUE that the request or document carries; may be given several times.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only results of this provider.")] = None,
    model: Annotated[str | None, typer.Option(help="Only results of this model, as its provider names it.")] = None,
    by: Annotated[str, typer.Option(help="words, meaning, or both fused.")] = "both",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=MAX_HITS)] = 10,
) -> None:
    """Search the tenant's documents and results; nothing that fits is no failure."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "text": text,
        "by": by,
        "kind": kind,
        "collection": collection,
        "since": since and moment_of(since, now, "--since"),
        "until": until and moment_of(until, now, "--until"),
        "metadata": dict(_pair(given) for given in metadata or []),
        "provider": provider,
        "model": model,
        "limit": limit,
    }
    try:
        question = SearchV1.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise typer.BadParameter(first["msg"], param_hint=f"{first['loc'][0]}".replace("text", "TEXT")) from None
    run(_search(session_of(context), question))


async def _search(session: Session, question: SearchV1) -> int:
    async with session.bus() as bus:
        found = await ask_indexer(bus, session.tenant, question)
    if session.json:
        as_json(found.model_dump(mode="json"))
        return 0
    if found.warning:
        notes().print(f"warning: {found.warning}", markup=False)
    if found.hits:
        console().print(_table(found))
    else:
        notes().print(f"nothing found for tenant {session.tenant!r}", markup=False)
    return 0


async def ask_indexer(bus: Bus, tenant: str, question: SearchV1) -> FoundV1:
    """What the index holds. Raises Failure when no indexer answers, or it refuses."""
    body = question.model_dump_json(exclude_unset=True).encode()
    try:
        reply = await bus.request(bus.subjects.query(f"search.{tenant}"), body, timeout_s=ANSWER_TIMEOUT_S)
    except Unavailable as error:
        raise Failure("no indexer answers on this server: start one with 'headrace up' or 'python -m services.indexer'") from error
    try:
        found = FoundV1.model_validate_json(reply.data)
    except ValidationError as error:
        raise Failure("the indexer's answer cannot be read: is it of another version?") from error
    if found.error:
        raise Failure(f"the indexer refused: {found.error}")
    return found


def _table(found: FoundV1) -> Table:
    table = Table()
    for name in ("what", "id", "when", "found by", "text"):
        table.add_column(name, overflow="fold")
    for hit in found.hits:
        table.add_row(_what(hit), escaped(hit.id), hit.at.strftime("%Y-%m-%d %H:%M"), _by(hit), escaped(hit.snippet))
    return table


def _what(hit: HitV1) -> str:
    if hit.kind == "document":
        return escaped(" ".join(filter(None, [hit.collection, hit.title or hit.uri])))
    return escaped(f"result {hit.provider}/{hit.model}" if hit.model else "result")


def _by(hit: HitV1) -> str:
    ranks = {"words": hit.words_rank, "meaning": hit.meaning_rank}
    return ", ".join(f"{name} {rank}" for name, rank in ranks.items() if rank is not None)


def _pair(given: str) -> tuple[str, str]:
    key, equals, value = given.partition("=")
    if not equals or not key:
        raise typer.BadParameter(f"{given!r} is not KEY=VALUE", param_hint="--metadata")
    return key, value
