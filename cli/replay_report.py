"""What `headrace replay` prints: old and new side by side for a few, totals always; with --json one document."""

import json

from rich.table import Table

from cli.comparison import Pair, Sum, Totals
from cli.show import STYLES, JsonArray, answer, console, escaped, money
from contracts.result import ResultV1

SIDE_BY_SIDE = 20
"""Up to so many replays are shown one by one."""
ANSWER_CHARACTERS = 400


class Report:
    """Takes pairs as they come; keeps no more of them than are shown."""

    def __init__(self) -> None:
        self.totals = Totals()
        self._first: list[Pair] = []

    def add(self, pair: Pair) -> None:
        self.totals.add(pair)
        if len(self._first) <= SIDE_BY_SIDE:
            self._first.append(pair)

    def end(self, problems: list[str]) -> None:
        if self._first and len(self._first) <= SIDE_BY_SIDE:
            console().print(side_by_side(self._first))
        console().print(summary(self.totals))
        totals = self.totals
        facts = [f"{totals.requests} replayed, {totals.sent} sent, {totals.requests - totals.sent} had their result"]
        facts += [f"{totals.equal} of {totals.compared} answers are equal"] if totals.compared else []
        facts += [f"{totals.parsed_equal} of {totals.parsed_compared} hold the same JSON"] if totals.parsed_compared else []
        print("; ".join(facts))


class JsonReport(Report):
    """`{"replays": [...], "not_replayed": [...], "totals": {...}}`, each replay written as soon as it ended."""

    def __init__(self) -> None:
        super().__init__()
        self._array = JsonArray('{"replays": ')

    def add(self, pair: Pair) -> None:
        self.totals.add(pair)
        self._array.add(pair.row())

    def end(self, problems: list[str]) -> None:
        self._array.end(f',\n"not_replayed": {json.dumps(problems, ensure_ascii=False)},\n"totals": {json.dumps(self.totals.row())}}}')


def report(as_json: bool) -> Report:
    return JsonReport() if as_json else Report()


def side_by_side(pairs: list[Pair]) -> Table:
    table = Table(title="Replays", show_lines=True)
    for name in ("request", "old", "new", "old answer", "new answer", "equal"):
        table.add_column(name, overflow="fold")
    for pair in pairs:
        agree = pair.parsed_equal if pair.equal is False else pair.equal
        equal = "" if agree is None else "yes" if pair.equal else "as JSON" if agree else "no"
        table.add_row(pair.request_id, _facts(pair.old), _facts(pair.new), _text(pair.old), _text(pair.new), equal)
    return table


def summary(totals: Totals) -> Table:
    table = Table(title="Totals")
    for name in ("", "statuses", "cost"):
        table.add_column(name, justify="right" if name == "cost" else "left")
    for name, side in (("old", totals.old), ("new", totals.new)):
        table.add_row(name, ", ".join(f"{count} {status}" for status, count in sorted(side.statuses.items())), _cost(side))
    return table


def _cost(side: Sum) -> str:
    return money(side.cost_usd) if side.cost_usd is not None else f"unknown ({money(side.cost_known_usd)} known)"


def _facts(result: ResultV1 | None) -> str:
    if result is None:
        return "no result yet"
    style = STYLES.get(result.status, "white")
    model = f"{result.provider}/{result.model}" if result.model else ""
    return "\n".join(filter(None, [f"[{style}]{result.status}[/{style}]", escaped(model), money(result.cost_usd)]))


def _text(result: ResultV1 | None) -> str:
    return "" if result is None else escaped(answer(result)[:ANSWER_CHARACTERS])
