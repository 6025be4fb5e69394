"""The dashboards as they are committed, and the questions that their panels ask."""

import json
from functools import cache
from typing import Any, NamedTuple

from tests.support.processes import ROOT

GRAFANA = ROOT / "observability" / "grafana"
NAMES = ("cost", "pipeline", "providers", "services")
INTERVALS = {"$__rate_interval": "5m", "$__range": "1h"}


class Question(NamedTuple):
    """One query of one panel, as Grafana would send it with every variable on All."""

    dashboard: str
    panel: str
    query: str


@cache
def dashboard(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GRAFANA / "dashboards" / f"{name}.json").read_text())
    return found


def titles(name: str) -> set[str]:
    """The panels of a dashboard, whatever the case of its name; none where there is no such dashboard."""
    return {panel["title"] for panel in dashboard(name.lower())["panels"]} if name.lower() in NAMES else set()


def questions() -> list[Question]:
    return [
        Question(name, panel["title"], filled(target["expr"], variables(name)))
        for name in NAMES
        for panel in dashboard(name)["panels"]
        for target in panel["targets"]
    ]


def variables(name: str) -> dict[str, str]:
    """The metric whose label's values a variable offers, by variable."""
    return {variable["name"]: variable["query"]["query"] for variable in dashboard(name)["templating"]["list"]}


def filled(query: str, names: dict[str, str], intervals: dict[str, str] = INTERVALS) -> str:
    """A query with Grafana's variables replaced."""
    for variable, interval in intervals.items():
        query = query.replace(variable, interval)
    for name in names:
        query = query.replace(f"${name}", ".*")
    return query
