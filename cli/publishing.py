"""`headrace publish`: a file of requests in, a file of results out."""

import json
import uuid
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from bus.client import HeadraceClient
from cli.batches import Bar, Patient, bar, each
from cli.session import Failure, Session, run, session_of
from cli.show import as_json, json_line, notes
from contracts.result import ResultV1


def register(app: typer.Typer) -> None:
    app.command("publish")(publish)


def publish(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="One request a line, as JSON; with 'input' it is an embed request.", exists=True, dir_okay=False)],
    out: Annotated[Path | None, typer.Option(help="Where results go, one a line; stdout if not given.")] = None,
    concurrency: Annotated[int, typer.Option(help="Requests in flight at once.", min=1, max=4096)] = 64,
    resume: Annotated[bool, typer.Option("--resume", help="Leave out the requests whose results are in --out already.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each result.", min=0.1)] = 86400,
) -> None:
    """Publish requests and gather their results. Exit 1 if any result is not 'succeeded'."""
    if resume and out is None:
        raise typer.BadParameter("it needs --out, the file to resume", param_hint="--resume")
    run(_publish(session_of(context), file, out, concurrency, resume, timeout))


async def _publish(session: Session, file: Path, out: Path | None, concurrency: int, resume: bool, timeout_s: float) -> int:
    requests = _requests(file)
    earlier = _earlier(out) if resume and out is not None else {}
    todo = [request for request in requests if request.get("id") not in earlier]
    counts: Counter[str] = Counter(status for request in requests if (status := earlier.get(request.get("id"))) is not None)
    handle = out.open("a" if resume else "w") if out is not None else None
    try:
        async with session.client() as client:
            with bar("publish", total=len(requests), done=len(requests) - len(todo)) as progress:
                counts += await _all(client, todo, concurrency, timeout_s, handle, progress)
    finally:
        if handle is not None:
            handle.close()
    if session.json and out is not None:
        as_json({"requests": len(requests), "skipped": len(requests) - len(todo), "statuses": dict(counts)})
    else:
        notes().print(", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "no requests")
    return 0 if counts["succeeded"] == len(requests) else 1


def _requests(file: Path) -> list[dict[str, Any]]:
    """Every line's request. A line that is not a JSON object stops the command before anything is published."""
    requests = []
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            request = json.loads(line)
        except ValueError as error:
            raise Failure(f"{file}, line {number}: not JSON ({error}); nothing was published") from error
        if not isinstance(request, dict):
            raise Failure(f"{file}, line {number}: not a JSON object; nothing was published")
        requests.append(request)
    return requests


def _earlier(out: Path) -> dict[Any, str]:
    """Id → status of the results that an earlier run wrote; a line cut off by a kill is mended away."""
    if not out.exists():
        return {}
    text = out.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        out.write_text(whole)
    results = [ResultV1.model_validate_json(line) for line in whole.splitlines() if line.strip()]
    return {result.request_id: result.status for result in results}


async def _all(client: HeadraceClient, todo: list[dict[str, Any]], concurrency: int, timeout_s: float, handle: TextIO | None, progress: Bar) -> Counter[str]:
    """Publish in the file's order, `concurrency` at a time; write each result when it is there."""
    counts: Counter[str] = Counter()
    patient = Patient()
    async with client.awaiting() as results:

        async def work(request: dict[str, Any]) -> None:
            named = {**request, "id": request.get("id") or uuid.uuid4().hex}  # one id for all tries: stored twice, it is answered once
            result = await results.result(await patient.do(partial(client.publish, named)), timeout_s)
            counts[result.status] += 1
            print(json_line(result), file=handle, flush=True)
            progress.advance()

        await each(todo, work, concurrency)
    return counts
