"""How results, tables and JSON are printed: data on stdout, everything for people's eyes only on stderr."""

import json
import sys
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from contracts.content import text_of
from contracts.result import ResultV1

STYLES = {"succeeded": "green", "failed": "red", "refused": "yellow", "expired": "magenta", "cancelled": "cyan"}


def console() -> Console:
    """Stdout; wide where nobody's terminal sets the width."""
    return Console() if sys.stdout.isatty() else Console(width=180)


def notes() -> Console:
    """Stderr: progress and remarks."""
    return Console(stderr=True)


def as_json(value: Any) -> None:
    """One JSON value on stdout."""
    print(json.dumps(value, ensure_ascii=False, default=str, indent=2))


class JsonArray:
    """A JSON array on stdout, element by element, so that its length costs no memory. `before` and `after` may wrap it into an object."""

    def __init__(self, before: str = "") -> None:
        self._lead = f"{before}["

    def add(self, value: Any) -> None:
        print(self._lead + "\n" + json.dumps(value, ensure_ascii=False, default=str), end="")
        self._lead = ","

    def end(self, after: str = "") -> None:
        print(f"{self._lead if self._lead != ',' else ''}\n]{after}")


def json_line(result: ResultV1) -> str:
    return result.model_dump_json()


def answer(result: ResultV1) -> str:
    """What the model said, or what came instead."""
    if result.parsed is not None:
        return json.dumps(result.parsed, ensure_ascii=False)
    if result.message is not None:
        calls = [f"{part.name}({json.dumps(part.arguments)})" for part in result.message.all_parts() if part.type == "tool_call"]
        return "\n".join(filter(None, [text_of(result.message.all_parts()), *calls]))
    if result.embeddings is not None:
        return f"{len(result.embeddings)} embedding(s) of {len(result.embeddings[0])} {'numbers' if isinstance(result.embeddings[0], list) else 'characters'}"
    return why(result)


def why(result: ResultV1) -> str:
    """Why there is no acceptable answer, on one line; empty for a success."""
    if result.error is None:
        return ""
    field = f" ({result.error.field})" if result.error.field else ""
    rejected = "".join(f"; {one.model}: {one.why}" for one in result.error.rejected)
    return f"{result.error.type}{field}: {result.error.message}{rejected}"


def money(value: Decimal | str | None) -> str:
    return "unknown" if value is None else f"${Decimal(value):f}"


def seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def clock(value: datetime | None) -> str:
    return "" if value is None else value.strftime("%H:%M:%S")


def latency_s(result: ResultV1) -> float | None:
    """From the moment the bus stored the request to its result."""
    return None if result.requested_at is None else max((result.finished_at - result.requested_at).total_seconds(), 0.0)


def attempts(result: ResultV1) -> str:
    return ", ".join(f"{one.n} {one.provider} {one.outcome}" for one in result.attempts) or "none"


def results_table(results: list[ResultV1], title: str = "Results") -> Table:
    """One line a result: what a person looks for first."""
    table = Table(title=title)
    for name in ("id", "status", "model", "attempts", "tokens", "cost", "seconds", "answer"):
        table.add_column(name, overflow="ellipsis", no_wrap=name != "attempts", justify="right" if name in ("cost", "seconds") else "left")
    for result in results:
        style = STYLES.get(result.status, "")
        tokens = f"{shown(result.usage.input_tokens)}+{shown(result.usage.output_tokens)}"
        text = answer(result).replace("\n", " ")[:60]
        row = [
            result.request_id,
            f"[{style}]{result.status}[/{style}]" if style else result.status,
            f"{result.provider}/{result.model}" if result.model else "",
        ]
        table.add_row(*row, attempts(result), tokens, money(result.cost_usd), seconds(latency_s(result)), escaped(text))
    return table


def shown(value: object) -> str:
    return "?" if value is None else str(value)


def escaped(text: str) -> str:
    """Text that rich prints as it is."""
    return text.replace("[", r"\[")
