"""Grafana's dashboards from sources/*.toml: `python -m observability.grafana.generate` writes dashboards/*.json."""

import json
import tomllib
from pathlib import Path
from typing import Any, TypedDict

HERE = Path(__file__).parent
PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
COLUMNS, WIDTH, HEIGHT = 24, 12, 8
STATE_COLOURS = ("green", "yellow", "red")


class Panel(TypedDict, total=False):
    """One `[[panels]]` of a source. `queries`: legend → PromQL."""

    title: str
    description: str
    unit: str
    kind: str
    width: int
    exemplars: bool
    states: dict[str, str]
    queries: dict[str, str]


def dashboards() -> dict[str, str]:
    """The JSON of every dashboard, by file name."""
    sources = {path.stem: tomllib.loads(path.read_text()) for path in sorted((HERE / "sources").glob("*.toml"))}
    return {f"{name}.json": json.dumps(_dashboard(source), indent=1, ensure_ascii=False) + "\n" for name, source in sources.items()}


def _dashboard(source: dict[str, Any]) -> dict[str, Any]:
    return {
        "uid": source["uid"],
        "title": source["title"],
        "description": source["description"],
        "tags": ["headrace"],
        "schemaVersion": 41,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [{"title": "Headrace", "type": "dashboards", "tags": ["headrace"], "asDropdown": True, "includeVars": True, "keepTime": True}],
        "templating": {"list": [_variable(label, metric) for label, metric in source["variables"].items()]},
        "panels": _laid_out(source["panels"]),
    }


def _variable(label: str, metric: str) -> dict[str, Any]:
    """A choice of any number of a label's values; all by default."""
    return {
        "name": label,
        "type": "query",
        "datasource": PROMETHEUS,
        "query": {"query": f"label_values({metric}, {label})", "refId": label},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _laid_out(panels: list[Panel]) -> list[dict[str, Any]]:
    """Panels from left to right, in rows."""
    x = y = 0
    placed = []
    for number, panel in enumerate(panels, start=1):
        width = panel.get("width", WIDTH)
        if x + width > COLUMNS:
            x, y = 0, y + HEIGHT
        placed.append(_panel(panel) | {"id": number, "gridPos": {"x": x, "y": y, "w": width, "h": HEIGHT}})
        x += width
    return placed


def _panel(panel: Panel) -> dict[str, Any]:
    kind = panel.get("kind", "timeseries")
    return {
        "type": kind,
        "title": panel["title"],
        "description": panel["description"],
        "datasource": PROMETHEUS,
        "fieldConfig": {"defaults": {"unit": panel["unit"], "mappings": _mappings(panel.get("states", {}))}, "overrides": []},
        "options": {"legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"], "showLegend": True}}
        if kind == "timeseries"
        else {},
        "targets": [_target(letter, panel, kind) for letter in zip("ABCDEF", panel["queries"].items(), strict=False)],
    }


def _target(lettered: tuple[str, tuple[str, str]], panel: Panel, kind: str) -> dict[str, Any]:
    letter, (legend, query) = lettered
    over_time = kind in ("timeseries", "state-timeline")
    return {
        "refId": letter,
        "datasource": PROMETHEUS,
        "expr": query.strip(),
        "legendFormat": legend,
        "range": over_time,
        "instant": not over_time,
        "format": "table" if kind == "table" else "time_series",
        "exemplar": panel.get("exemplars", False),
    }


def _mappings(states: dict[str, str]) -> list[dict[str, Any]]:
    options = {
        value: {"text": text, "color": colour, "index": index} for index, ((value, text), colour) in enumerate(zip(states.items(), STATE_COLOURS, strict=False))
    }
    return [{"type": "value", "options": options}] if options else []


if __name__ == "__main__":
    for name, text in dashboards().items():
        (HERE / "dashboards" / name).write_text(text)
