"""`headrace dead replay`: dead letters sent again, one or many; what was done already is not done again."""

from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

import typer

from bus.awaiting import Results
from bus.connection import Bus
from bus.letters import Chosen, at, letters, sequences
from bus.replay import Changes, NotReplayable, Replayed, of_letter, send
from cli.batches import bar, each, through_outages
from cli.replaying import tell
from cli.results import since_of
from cli.session import Failure, Session, run, session_of
from cli.show import as_json


@dataclass
class Done:
    """What became of the letters. `statuses` counts results, those that were there already and those that were awaited."""

    letters: int = 0
    sent: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    last: Replayed | None = None


def register(app: typer.Typer) -> None:
    app.command("replay")(replay)


def replay(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="As 'headrace dead list' prints them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that stand there now; the filters leave out some. With --tenant those of one.")] = False,
    service: Annotated[str | None, typer.Option(help="With --all: those that this service buried.")] = None,
    reason: Annotated[str | None, typer.Option(help="With --all: those with this reason.")] = None,
    since: Annotated[str | None, typer.Option(help="With --all: from then on: an age (10m, 2h), a time or a sequence.")] = None,
    route: Annotated[str | None, typer.Option(help="As new requests, over this route.")] = None,
    model: Annotated[str | None, typer.Option(help="As new requests, to this provider/model.")] = None,
    wait: Annotated[bool | None, typer.Option("--wait/--no-wait", help="Await the results. Several new requests are awaited unless told otherwise.")] = None,
    concurrency: Annotated[int, typer.Option(help="In flight at once.", min=1, max=4096)] = 64,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each result.", min=0.1)] = 86400,
) -> None:
    """Send the same bytes again, only while the request has no result; with --route or --model new requests.

    Killed and run again, it goes on where it was. Exit 1 if a letter could not be sent, or an awaited result is not 'succeeded'.
    """
    if bool(ids) == every:
        raise typer.BadParameter("give either IDs or --all", param_hint="ID")
    if ids and (service or reason or since):
        raise typer.BadParameter("--service, --reason and --since choose among --all", param_hint="ID")
    session, changes = session_of(context), Changes(route, model)
    chosen = Chosen(service, session.tenant_given, reason, since_of(since, datetime.now(UTC))) if every else tuple(dict.fromkeys(ids or []))
    many = every or len(ids or []) > 1
    run(_replay(session, chosen, changes, wait if wait is not None else many and bool(changes), concurrency, timeout))


async def _replay(session: Session, chosen: Chosen | tuple[str, ...], changes: Changes, wait: bool, concurrency: int, timeout_s: float) -> int:
    done = Done()
    async with session.bus() as bus, AsyncExitStack() as listening:
        with bar("replay") as progress:
            todo = await _planned(bus, chosen)
            progress.expect(len(todo))
            heard: dict[str, Results] = {}

            async def work(seq: int) -> None:
                replayed = await _one(bus, seq, changes, done)
                if replayed is not None and replayed.result is not None:
                    done.statuses[replayed.result.status] += 1
                elif replayed is not None and wait and replayed.tenant and replayed.request_id:
                    if replayed.tenant not in heard:
                        heard[replayed.tenant] = Results(bus, replayed.tenant)
                        await listening.enter_async_context(heard[replayed.tenant])
                    done.statuses[(await heard[replayed.tenant].result(replayed.request_id, timeout_s)).status] += 1
                progress.advance()

            await each(todo, work, min(concurrency, max(len(todo), 1)))
    _report(session, chosen, done)
    tell(done.problems)
    return 1 if done.problems or (wait and done.statuses["succeeded"] < done.statuses.total()) else 0


async def _planned(bus: Bus, chosen: Chosen | tuple[str, ...]) -> list[int]:
    """Where the letters stand in their stream. Raises Failure for an ID that is not there."""
    if isinstance(chosen, Chosen):
        return [seq async for seq, _ in letters(bus, chosen)]
    found = await sequences(bus, chosen)
    missing = [one for one in chosen if one not in found]
    if missing:
        more = f", and {len(missing) - 1} more" if missing[1:] else ""
        raise Failure(f"no dead letter {missing[0]!r}{more}; 'headrace dead list' shows those there are")
    return [found[one] for one in chosen]


async def _one(bus: Bus, seq: int, changes: Changes, done: Done) -> Replayed | None:
    """Send one letter again; None, with the reason noted, when that cannot be."""

    async def sent() -> Replayed:
        letter = await at(bus, seq)
        if letter is None:
            raise NotReplayable(f"dead letter {seq} has left DEAD_LETTERS meanwhile")
        return await send(bus, await of_letter(bus, letter, changes))

    done.letters += 1
    try:
        done.last = await through_outages(sent)
    except NotReplayable as error:
        done.problems.append(str(error))
        return None
    done.sent += done.last.sent
    return done.last


def _report(session: Session, chosen: Chosen | tuple[str, ...], done: Done) -> None:
    one = done.last if isinstance(chosen, tuple) and len(chosen) == 1 else None
    if session.json:
        single = {"id": chosen[0], "request_id": one.request_id, "sent": one.sent, "subject": one.subject} if one and isinstance(chosen, tuple) else {}
        as_json(single or {"letters": done.letters, "sent": done.sent, "statuses": dict(done.statuses), "not_replayed": done.problems})
    elif one is None:
        statuses = ", ".join(f"{count} {status}" for status, count in sorted(done.statuses.items()))
        print(f"{done.letters} dead letters, {done.sent} sent" + (f"; results: {statuses}" if statuses else ""))
    elif one.sent:
        print(f"sent to {one.subject}" + (f"; read its result with 'headrace results {one.request_id}'" if one.request_id else ""))
    else:
        print(f"nothing sent: request {one.request_id} has its result; read it with 'headrace results {one.request_id}'")
