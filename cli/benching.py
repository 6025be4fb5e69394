"""`headrace bench`: so many requests through a running pipeline, and how long each took."""

import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from bus.awaiting import NoResult
from cli.batches import bar, each
from cli.session import Session, run, session_of
from cli.show import as_json, console, escaped, money, seconds, why
from cli.watching.minute import quantile

NO_RESULT = "no result"


@dataclass
class Measured:
    """What came of the requests; `took_s` from publishing to hearing the result, of those that were heard."""

    took_s: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """By type and text."""
    cost_known_usd: Decimal = Decimal(0)
    unpriced: int = 0


def register(app: typer.Typer) -> None:
    app.command("bench")(bench)


def bench(
    context: typer.Context,
    requests: Annotated[int, typer.Option(help="How many in all.", min=1)] = 100,
    concurrency: Annotated[int, typer.Option(help="How many at once: the next is published when one has its result.", min=1, max=4096)] = 10,
    route: Annotated[str, typer.Option(help="A route of the configuration.")] = "default",
    model: Annotated[str | None, typer.Option(help="PROVIDER/MODEL instead of the route.")] = None,
    lane: Annotated[Literal["interactive", "standard", "bulk"], typer.Option(help="The lane to publish on.")] = "standard",
    prompt: Annotated[str, typer.Option(help="What is asked; '{n}' becomes the request's number, so that no cache answers.")] = "Say the number {n}.",
    max_tokens: Annotated[int, typer.Option(help="The longest answer.", min=1)] = 16,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each result.", min=0.1)] = 120,
) -> None:
    """Measure the connected pipeline. The providers of its configuration are asked, and paid. Exit 1 if any request did not succeed."""
    wanted: dict[str, Any] = {"sampling": {"max_output_tokens": max_tokens}, **({"model": model} if model else {"route": route})}
    run(_bench(session_of(context), requests, concurrency, wanted, lane, prompt, timeout))


async def _bench(session: Session, requests: int, concurrency: int, wanted: dict[str, Any], lane: str, prompt: str, timeout_s: float) -> int:
    found, name = Measured(), f"bench-{uuid.uuid4().hex[:12]}"
    async with session.client() as client:
        began = time.perf_counter()
        with bar("bench", total=requests) as progress:
            async with client.awaiting() as results:

                async def one(number: int) -> None:
                    said = prompt.replace("{n}", str(number))
                    body = {"id": f"{name}-{number}", "messages": [{"role": "user", "content": said}], "timeout_s": timeout_s, **wanted}
                    start = time.perf_counter()
                    try:
                        result = await results.result(await client.publish(body, lane), timeout_s)
                    except NoResult:
                        found.statuses[NO_RESULT] += 1
                    else:
                        found.took_s.append(time.perf_counter() - start)
                        found.statuses[result.status] += 1
                        found.errors.update([why(result)] if result.error else [])
                        found.cost_known_usd += result.cost_known_usd
                        found.unpriced += result.cost_usd is None
                    progress.advance()

                await each(range(requests), one, concurrency)
        report = _report(found, requests, time.perf_counter() - began)
    if session.json:
        as_json({**report, "lane": lane, "concurrency": concurrency, "id": name})
    else:
        console().print(_table(report))
    return 0 if found.statuses["succeeded"] == requests else 1


def _report(found: Measured, requests: int, seconds_in_all: float) -> dict[str, Any]:
    in_order = sorted(found.took_s)
    return {
        "requests": requests,
        "seconds": round(seconds_in_all, 3),
        "results_per_s": round(len(in_order) / seconds_in_all, 2),
        **{f"p{part}_s": quantile(in_order, part / 100) for part in (50, 95, 99)},
        "max_s": in_order[-1] if in_order else None,
        "failures": requests - found.statuses["succeeded"],
        "statuses": dict(found.statuses),
        "errors": dict(found.errors),
        "cost_known_usd": f"{found.cost_known_usd:f}",
        "unpriced": found.unpriced,
    }


def _table(report: dict[str, Any]) -> Table:
    table = Table(show_header=False)
    table.add_row("results a second", f"{report['results_per_s']:.1f} ({report['requests']} requests in {report['seconds']:.1f} s)")
    for name in ("p50_s", "p95_s", "p99_s", "max_s"):
        table.add_row(name.removesuffix("_s"), f"{seconds(report[name])} s" if report[name] is not None else "-")
    table.add_row("ended", escaped(", ".join(f"{count} {status}" for status, count in sorted(report["statuses"].items()))))
    if report["errors"]:
        table.add_row("errors", escaped(", ".join(f"{count} {kind}" for kind, count in sorted(report["errors"].items()))))
    table.add_row("cost", money(report["cost_known_usd"]) + (f", and {report['unpriced']} of unknown price" if report["unpriced"] else ""))
    return table
