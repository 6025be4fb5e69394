"""Grafana's dashboards: committed as generated, read by Grafana's own types, and asking only for what is declared."""

import json
import re
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.grafana.generate import dashboards
from tests.deploy.declared import faults, series
from tests.deploy.panels import GRAFANA, NAMES, Question, dashboard, questions, variables

each_dashboard = pytest.mark.parametrize("name", NAMES)


def lost(before: Any, after: Any, where: str = "") -> list[str]:
    """What is in `before` and not the same in `after`; more in `after` is no loss."""
    if isinstance(before, dict):
        gone = [f"{where}.{key}" for key in before if not isinstance(after, dict) or key not in after]
        return gone + [found for key in before if f"{where}.{key}" not in gone for found in lost(before[key], after[key], f"{where}.{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [found for index, (one, other) in enumerate(zip(before, after, strict=True)) for found in lost(one, other, f"{where}[{index}]")]
    return [] if before == after else [f"{where}: {before!r} became {after!r}"]


def test_the_dashboards_are_what_their_sources_say() -> None:
    stored = {path.name: path.read_text() for path in (GRAFANA / "dashboards").glob("*.json")}
    assert stored == dashboards(), "run: python -m observability.grafana.generate"
    assert {name.removesuffix(".json") for name in stored} == set(NAMES)


@each_dashboard
def test_grafanas_own_types_know_every_field(name: str) -> None:
    plugins.register_default_plugins()
    read = Dashboard.from_json(dashboard(name))
    assert lost(dashboard(name), json.loads(JSONEncoder().encode(read))) == []


@pytest.mark.parametrize("question", questions(), ids=lambda question: f"{question.dashboard}: {question.panel}")
def test_a_panel_asks_only_for_metrics_and_labels_that_are_declared(question: Question) -> None:
    assert "$" not in question.query
    assert faults(question.query) == []


@each_dashboard
def test_every_panel_says_what_it_shows_in_which_unit_and_names_its_series(name: str) -> None:
    panels = dashboard(name)["panels"]
    assert len(panels) >= 10
    for panel in panels:
        assert panel["description"].endswith(".") or "`" in panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for target in panel["targets"]:
            by = re.search(r"by \(([^)]*)\)", target["expr"])
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert panel["type"] == "table" or shown == (set(by[1].split(", ")) - {"le"} if by else set()), panel["title"]


@each_dashboard
def test_no_two_panels_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard(name)["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


@each_dashboard
def test_a_variable_offers_the_values_of_a_label_that_its_metric_has(name: str) -> None:
    for variable, query in variables(name).items():
        asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", query)
        assert asked is not None, query
        assert asked[2] == variable
        assert variable in series()[asked[1]]


def test_points_on_histograms_lead_to_traces_and_nothing_names_a_data_source_that_is_not_there() -> None:
    sources = {source["uid"]: source for source in yaml.safe_load((GRAFANA / "provisioning/datasources/headrace.yaml").read_text())["datasources"]}
    (destination,) = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert sources[destination["datasourceUid"]]["type"] == "jaeger"
    for name in NAMES:
        used = {target["datasource"]["uid"] for panel in dashboard(name)["panels"] for target in panel["targets"]}
        assert used <= set(sources)
        with_points = [target["expr"] for panel in dashboard(name)["panels"] for target in panel["targets"] if target["exemplar"]]
        assert all("_bucket" in query for query in with_points)
