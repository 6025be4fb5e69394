"""`headrace index`: a folder or a file of documents published, and waited for until they can be found."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from bus.connection import Bus
from bus.errors import Unavailable
from cli.batches import Patient, bar, each
from cli.documents import Publishable, collection_of, documents_of, publishable
from cli.session import Failure, Session, run, session_of
from cli.show import as_json, notes
from contracts.document import DocumentV1
from contracts.search import IndexedV1, IndexQuestionV1

ANSWER_TIMEOUT_S, LOOK_S, PAGE = 30.0, 0.2, 5000
LEFT_OUT_SHOWN = 20


def register(app: typer.Typer) -> None:
    app.command("index")(index)


def index(
    context: typer.Context,
    place: Annotated[Path, typer.Argument(metavar="FOLDER|FILE", help="A folder of text files, or a file with one document a line, as JSON.", exists=True)],
    collection: Annotated[str, typer.Option(help="What the documents belong to.")] = "default",
    prune: Annotated[bool, typer.Option("--prune", help="Take out documents of the collection that are not there any more.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Publish unchanged documents too.")] = False,
    concurrency: Annotated[int, typer.Option(help="Documents on their way to the bus at once.", min=1, max=1024)] = 128,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the indexer after it last went on.", min=1)] = 120,
) -> None:
    """Publish documents that are new or changed, and wait until the indexer has them. Exit 1 if one does not stand in the index then."""
    run(_index(session_of(context), place, collection_of(collection), prune, force, concurrency, timeout))


async def _index(session: Session, place: Path, collection: str, prune: bool, force: bool, concurrency: int, timeout_s: float) -> int:
    async with session.bus() as bus:
        standing = await _standing(bus, session.tenant, collection)
        found = await asyncio.to_thread(lambda: list(documents_of(place, bus.body_limit)))
        wanted = {one.id: one for one in found if isinstance(one, Publishable)}  # of the same id the last one holds
        left_out = [one for one in found if isinstance(one, str)]
        todo = [one for one in wanted.values() if force or (one.id in standing if one.deletes else standing.get(one.id) != one.sha256)]
        gone = sorted(set(standing) - set(wanted)) if prune else []
        todo += [publishable(DocumentV1(id=each_id, operation="delete")) for each_id in gone]
        sequences = await _publish(bus, session.tenant, collection, todo, concurrency)
        indexed = await _wait(bus, session.tenant, sequences, timeout_s)
        standing = await _standing(bus, session.tenant, collection)
    missing = [one for one in wanted.values() if not one.deletes and standing.get(one.id) != one.sha256]
    for line in left_out[:LEFT_OUT_SHOWN]:
        notes().print(f"left out: {line}", markup=False)
    counts = {"documents": len(wanted), "published": len(todo) - len(gone), "deleted": len(gone), "left_out": len(left_out), "missing": len(missing)}
    if session.json:
        as_json({**counts, "chunks": indexed.chunks, "without_vector": indexed.without_vector})
    else:
        print(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()))
    for one in missing[:LEFT_OUT_SHOWN]:
        notes().print(f"not in the index: {one.id}; 'headrace dead list' may say why", markup=False)
    return 1 if missing else 0


async def _publish(bus: Bus, tenant: str, collection: str, todo: Sequence[Publishable], concurrency: int) -> list[int]:
    """The sequence of each in DOCUMENTS, ascending."""
    sequences: list[int] = []
    patient = Patient()
    with bar("publish", total=len(todo)) as progress:

        async def work(one: Publishable) -> None:
            ack = await patient.do(partial(bus.publish, bus.subjects.document(tenant, collection, one.id), one.body))
            sequences.append(ack.seq)
            progress.advance()

        await each(todo, work, concurrency)
    return sorted(sequences)


async def _wait(bus: Bus, tenant: str, sequences: list[int], timeout_s: float) -> IndexedV1:
    """Until the index has all of them and a vector for each chunk. Raises Failure where it does not go on."""
    loop = asyncio.get_running_loop()
    with bar("index", total=len(sequences)) as progress:
        done, seen, since = 0, None, loop.time()
        while True:
            answer = await _ask(bus, tenant, IndexQuestionV1())
            now_done = bisect_right(sequences, answer.stream_floor)
            progress.advance(now_done - done)
            done = now_done
            if done >= len(sequences) and not answer.without_vector:
                return answer
            if seen != (done, answer.without_vector):
                seen, since = (done, answer.without_vector), loop.time()
            elif loop.time() - since > timeout_s:
                waiting = f"{len(sequences) - done} documents and the vectors of {answer.without_vector} chunks wait"
                raise Failure(f"the indexer stands still since {timeout_s:g} s: {waiting}; see its log")

            await asyncio.sleep(LOOK_S)


async def _standing(bus: Bus, tenant: str, collection: str) -> dict[str, str]:
    """Every document of the collection that the index holds, with the sha256 of its message."""
    found: dict[str, str] = {}
    after: str | None = None
    while True:
        page = (await _ask(bus, tenant, IndexQuestionV1(collection=collection, after=after, limit=PAGE))).standing
        found |= page
        if len(page) < PAGE:
            return found
        after = list(page)[-1]  # the database's own order


async def _ask(bus: Bus, tenant: str, question: IndexQuestionV1) -> IndexedV1:
    """Raises Failure."""
    try:
        reply = await bus.request(bus.subjects.query(f"indexed.{tenant}"), question.model_dump_json().encode(), timeout_s=ANSWER_TIMEOUT_S)
        answer = IndexedV1.model_validate_json(reply.data)
    except Unavailable as error:
        raise Failure("no indexer answers on this server: start one with 'headrace up' or 'python -m services.indexer'") from error
    except ValidationError as error:
        raise Failure("the indexer's answer cannot be read: is it of another version?") from error
    if answer.error:
        raise Failure(f"the indexer refused: {answer.error}")
    return answer
