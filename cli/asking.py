"""`headrace ask`: one question, one answer."""

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from bus.client import HeadraceClient
from cli.session import Failure, Session, run, session_of
from cli.show import answer, json_line, notes, why
from contracts.request import LANES
from contracts.result import ResultV1


def register(app: typer.Typer) -> None:
    app.command("ask")(ask)


def ask(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="What to ask; '-' reads it from stdin.")],
    route: Annotated[str | None, typer.Option(help="The route to take; 'default' if not given.")] = None,
    model: Annotated[str | None, typer.Option(help="Pin one model, as provider/model.")] = None,
    system: Annotated[str | None, typer.Option(help="A system prompt.")] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Show the answer as it arrives.")] = False,
    schema: Annotated[Path | None, typer.Option(help="A file with a JSON Schema that the answer must satisfy.", exists=True, dir_okay=False)] = None,
    lane: Annotated[str, typer.Option(help=f"One of {', '.join(LANES)}.")] = "interactive",
    timeout: Annotated[float, typer.Option(help="Seconds until the request expires.", min=0.1, max=86400)] = 120,
    max_tokens: Annotated[int | None, typer.Option(help="At most this many output tokens.", min=1)] = None,
    max_cost: Annotated[str | None, typer.Option(help="At most this many USD.")] = None,
) -> None:
    """Ask a question and print the answer. Exit 1 unless it succeeded."""
    session = session_of(context)
    if lane not in LANES:
        raise typer.BadParameter(f"{lane!r} is not one of {', '.join(LANES)}", param_hint="--lane")
    question = sys.stdin.read() if text == "-" else text
    messages = [{"role": "system", "content": system}] if system else []
    body: dict[str, Any] = {"messages": [*messages, {"role": "user", "content": question}], "timeout_s": timeout, "stream": stream}
    body |= {name: value for name, value in (("route", route), ("model", model), ("max_cost_usd", max_cost)) if value is not None}
    if max_tokens is not None:
        body["sampling"] = {"max_output_tokens": max_tokens}
    if schema is not None:
        body["output"] = {"json_schema": _schema(schema)}
    if max_cost is not None and not _is_money(max_cost):
        raise typer.BadParameter(f"{max_cost!r} is not a number of USD", param_hint="--max-cost")
    run(_ask(session, body, lane, timeout))


def _is_money(text: str) -> bool:
    try:
        return Decimal(text) >= 0
    except ArithmeticError:
        return False


def _schema(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}", param_hint="--schema") from error


async def _ask(session: Session, body: dict[str, Any], lane: str, timeout_s: float) -> int:
    async with session.client() as client:
        request_id = await client.publish(body, lane)
        shown = await _show_deltas(client, request_id, timeout_s + 10) if body["stream"] and not session.json else ""
        result = await client.result(request_id, timeout_s + 10)
    if session.json:
        print(json_line(result))
    elif result.status == "succeeded":
        _finish(result, shown)
    if result.status != "succeeded":
        if shown:
            print()
        if not session.json:
            raise Failure(f"{result.status}: {why(result)}; see 'headrace trace {request_id}'")
        return 1
    return 0


async def _show_deltas(client: HeadraceClient, request_id: str, timeout_s: float) -> str:
    """Print text as it arrives and return what was printed; another attempt begins a new line."""
    shown, n = "", 0
    async for delta in client.stream(request_id, timeout_s):
        if delta.n != n:
            if shown:
                notes().print(f"\n[dim]attempt {delta.n}, from the beginning:[/dim]")
            shown, n = "", delta.n
        if delta.type == "text" and delta.content:
            shown += delta.content
            print(delta.content, end="", flush=True)
    return shown


def _finish(result: ResultV1, shown: str) -> None:
    """The answer, unless it was shown already; the result has the last word."""
    text = answer(result)
    if not shown:
        print(text)
    elif shown == text:
        print()
    else:
        print(text[len(shown) :] if text.startswith(shown) else f"\n{text}")
