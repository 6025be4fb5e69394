"""The figures on a terminal of any size, or on one line where there is no terminal. Pure: figures in, text out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.watching.figures import Figures, Lane, Provider, Tenant

WIDE = 110
"""From this width on the screen has room for the stages of a queue and for counts."""
HEALTH = {"healthy": "green", "degraded": "yellow", "unhealthy": "red"}
SEVERITY = {"info": "cyan", "warning": "yellow", "error": "red"}
MINUTE_S, HOUR_S = 60, 3600


@dataclass(frozen=True)
class Moment:
    """One refresh. `figures` are the last that were read, `problem` why there are no newer ones."""

    url: str
    at: datetime
    figures: Figures | None
    problem: str | None = None
    read_at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """One object a refresh; without figures of this moment it has none, never old ones."""
        current = self.figures.as_json() if self.figures is not None and self.problem is None else {}
        return {"at": self.at.isoformat(), "server": {"url": self.url, "ok": self.problem is None, "problem": self.problem}, **current}


@dataclass(frozen=True)
class Section:
    """A table of which as many rows are shown as there is room for. A column's name beginning with `>` is aligned right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Text | str]]

    def table(self, room: int) -> Table:
        table = Table(box=None, expand=True, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
        for index, name in enumerate(self.columns):
            right = name.startswith(">")
            table.add_column(
                name.removeprefix(">"), justify="right" if right else "left", no_wrap=True, overflow="ellipsis", ratio=None if right or index == 0 else 1
            )
        cut = len(self.rows) > room
        for row in self.rows[: room - 1 if cut else room]:
            table.add_row(*row)
        if cut and room:
            table.add_row(Text(f"… {len(self.rows) - room + 1} more", style="dim"))
        return table


def screen(moment: Moment, width: int, height: int) -> RenderableType:
    """Everything within `height` lines; what does not fit says so."""
    head = _head(moment)
    figures = moment.figures
    if figures is None:
        return head
    wide = width >= WIDE
    sections = [_lanes(figures.lanes, wide), _providers(figures.providers, wide), _tenants(figures.tenants, figures.today_unknown), _notices(figures.notices)]
    taken = 1 + len(sections) + 1 + (len(sections) - 1)  # head, headings, the line of dead letters, blank lines
    room = max(height - taken, len(sections))
    lanes = min(len(figures.lanes), room - len(sections) + 1)  # first of all; the others share what is left
    rooms = [lanes, *shared_out(room - lanes, [len(section.rows) for section in sections[1:]])]
    lines: list[RenderableType] = [head]
    for section, room in zip(sections, rooms, strict=True):
        lines += [section.table(room), Text("")]
    lines[-1] = _rest(figures)
    return Group(*lines)


def shared_out(room: int, needs: Sequence[int]) -> list[int]:
    """Lines for each section: nobody gets more than he needs, and nobody waits for one who needs much."""
    given = [0] * len(needs)
    while room and (hungry := [index for index, need in enumerate(needs) if given[index] < need]):
        for index in hungry[:room]:
            given[index] += 1
        room -= min(room, len(hungry))
    return given


def line(moment: Moment) -> str:
    """The same on one line."""
    at = moment.at.strftime("%H:%M:%S")
    figures = moment.figures
    if figures is None or moment.problem is not None:
        return f"{at}  {moment.problem or 'no figures yet'}"
    lanes = [
        f"{name}: {lane.waiting} waiting{_since(lane.oldest_s)}, {lane.in_flight} in flight, {lane.results_per_s:.1f}/s, "
        f"p50 {span(lane.p50_s)}, p95 {span(lane.p95_s)}"
        for name, lane in figures.lanes.items()
        if lane.waiting or lane.in_flight or lane.results
    ]
    providers = [
        f"{name}: {one.health}, {_flight(one)} in flight" + (f", errors {_counts(one.errors)}" if one.errors else "") for name, one in figures.providers.items()
    ]
    spent = sum((Decimal(one.minute_usd) for one in figures.tenants.values()), Decimal(0))
    rest = [f"{usd(str(spent))} a minute", f"{figures.dead_letters['count']} dead letters"]
    return f"{at}  " + " | ".join([*(lanes or ["idle"]), *providers, *rest])


def span(seconds: float | None) -> str:
    """A duration in at most seven characters."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.3f} s"
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 100 * MINUTE_S:
        return f"{seconds / MINUTE_S:.0f} min"
    return f"{seconds / HOUR_S:.0f} h"


def usd(value: str | None) -> str:
    """Four places, six below a cent; never rounded to nothing."""
    if value is None:
        return "unknown"
    amount = Decimal(value)
    if not amount:
        return "$0"
    return f"${amount:.4f}" if amount >= Decimal("0.01") else f"${amount:.6f}" if amount >= Decimal("0.000001") else "<$0.000001"


def printable(text: str) -> str:
    """A notice may quote what a producer sent: nothing in it moves the cursor."""
    return "".join(character if character.isprintable() else "�" for character in text)


def _head(moment: Moment) -> Text:
    head = Text("headrace ", style="bold").append(f"{moment.at:%H:%M:%S} UTC", style="not bold")
    if moment.problem is not None:
        since = f"; figures of {moment.read_at:%H:%M:%S}" if moment.read_at else ""
        head.append(f"  {moment.problem}{since}", style="bold red")
    elif moment.figures is not None:
        rate = sum(lane.results_per_s for lane in moment.figures.lanes.values())
        head.append(f"  {rate:.1f} results/s", style="bold green")
    head.append(f"  {moment.url}", style="not bold")
    head.no_wrap, head.overflow = True, "ellipsis"
    return head


def _lanes(lanes: Mapping[str, Lane], wide: bool) -> Section:
    columns = ["lane", ">waiting", ">oldest", ">in flight", ">results/s", ">p50", ">p95"]
    stages: list[tuple[str, Callable[[Lane], str]]] = [
        (">requests", lambda lane: str(lane.requests)),
        (">calls", lambda lane: str(lane.calls)),
        (">answers", lambda lane: str(lane.answers)),
        ("ended since the start", lambda lane: _counts(lane.results)),
    ]
    rows = []
    for name, lane in lanes.items():
        row: list[Text | str] = [
            name,
            str(lane.waiting),
            span(lane.oldest_s),
            str(lane.in_flight),
            f"{lane.results_per_s:.1f}",
            span(lane.p50_s),
            span(lane.p95_s),
        ]
        rows.append(row + [show(lane) for _, show in stages] if wide else row)
    return Section(columns + [name for name, _ in stages] if wide else columns, rows)


def _providers(providers: Mapping[str, Provider], wide: bool) -> Section:
    rows: list[list[Text | str]] = []
    for name, one in providers.items():
        health = Text(one.health, style=HEALTH.get(one.health, "dim"))
        attempts = Text(", ".join(f"{outcome} {rate:.1f}" for outcome, rate in one.attempts_per_s.items()) or "-")
        errors = Text(_counts(one.errors) or "-", style="red" if one.errors else "")
        row: list[Text | str] = [name, health, _flight(one), str(one.waiting), span(one.oldest_s), attempts, errors]
        rows.append([*row, printable(one.why or "")] if wide else row)
    columns = ["provider", ">health", ">in flight", ">waiting", ">oldest", "attempts/s", "errors in a minute"]
    return Section([*columns, "why"] if wide else columns, rows)


def _tenants(tenants: Mapping[str, Tenant], unknown: str | None) -> Section:
    rows = [
        [name, usd(one.today_usd), usd(one.budget_usd_per_day) if one.budget_usd_per_day else "-", usd(one.minute_usd), _unpriced(one)]
        for name, one in tenants.items()
    ]
    return Section(["tenant", ">today", ">budget", ">a minute", f"today's cost is unknown: {unknown}" if unknown else "of unknown price"], rows)


def _unpriced(tenant: Tenant) -> str:
    found = [f"{count} call(s) {when}" for count, when in ((tenant.today_unpriced, "today"), (tenant.minute_unpriced, "in a minute")) if count]
    return ", ".join(found) or "-"


def _notices(notices: Sequence[Mapping[str, Any]]) -> Section:
    rows: list[list[Text | str]] = [
        [
            datetime.fromisoformat(notice["occurred_at"]).strftime("%H:%M:%S"),
            Text(notice["severity"], style=SEVERITY.get(notice["severity"], "")),
            Text(printable(f"{notice['kind']}: {notice['message']}")),
        ]
        for notice in reversed(notices)
    ]
    return Section(["notices", ">", ""], rows or [["none", "", ""]])


def _rest(figures: Figures) -> Text:
    dead = figures.dead_letters
    text = Text(f"dead letters {dead['count']}", style="red" if dead["count"] else "")
    if dead["last"]:
        last = dead["last"]
        at = datetime.fromisoformat(last["failed_at"]).strftime("%H:%M:%S")
        text.append(f", the last {at} by {last['service']}: {printable(last['reason'])}")
    behind = _counts({name: count for name, count in figures.others.items() if count})
    text.append(f"   put off {figures.put_off}" + (f"   behind: {behind}" if behind else ""), style="default")
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _flight(provider: Provider) -> str:
    return f"{provider.in_flight}/{'?' if provider.max_in_flight is None else provider.max_in_flight}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in _largest_first(counts.items()))


def _largest_first(counts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(counts, key=lambda pair: (-pair[1], pair[0]))


def _since(oldest_s: float | None) -> str:
    return "" if oldest_s is None else f" (oldest {span(oldest_s)})"
