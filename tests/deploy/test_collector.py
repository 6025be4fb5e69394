"""observability/collector.yaml: its pipelines hang together, and what it samples by is what our spans say. No collector runs here."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from contracts.request import DEFAULT_TIMEOUT_S
from contracts.result import Status
from tests.support.processes import ROOT

COLLECTOR: dict[str, Any] = yaml.safe_load((ROOT / "observability" / "collector.yaml").read_text())
PROMETHEUS: dict[str, Any] = yaml.safe_load((ROOT / "observability" / "prometheus" / "prometheus.yaml").read_text())
PIPELINES: dict[str, dict[str, list[str]]] = COLLECTOR["service"]["pipelines"]
SAMPLING: dict[str, Any] = COLLECTOR["processors"]["tail_sampling"]
LITERAL = re.compile(r'"((?:headrace|messaging)\.[\w.]+)"')


def policies(found: list[dict[str, Any]] = SAMPLING["policies"]) -> Iterator[dict[str, Any]]:
    """Every policy, those inside others too."""
    for policy in found:
        yield policy
        yield from policies(policy.get("and", {}).get("and_sub_policy", []))


@pytest.mark.parametrize("kind", ["receivers", "processors", "exporters"])
def test_pipelines_name_what_is_declared_and_nothing_is_declared_for_no_pipeline(kind: str) -> None:
    assert {name for pipeline in PIPELINES.values() for name in pipeline[kind]} == set(COLLECTOR[kind])
    assert set(COLLECTOR["service"]["extensions"]) == set(COLLECTOR["extensions"])


def test_memory_is_guarded_first_and_batches_are_made_last() -> None:
    for pipeline in PIPELINES.values():
        assert (pipeline["processors"][0], pipeline["processors"][-1]) == ("memory_limiter", "batch")


def test_traces_are_sampled_by_attributes_that_our_spans_have() -> None:
    said = {name for folder in ("bus", "services", "observability") for path in (ROOT / folder).rglob("*.py") for name in LITERAL.findall(path.read_text())}
    keys = {policy[policy["type"]]["key"] for policy in policies() if policy["type"].endswith("_attribute")}
    assert len(keys) >= 4
    assert keys - said == set()


def test_a_policy_has_the_settings_of_its_type_and_a_name_of_its_own() -> None:
    names = [policy["name"] for policy in SAMPLING["policies"]]
    assert len(names) == len(set(names))
    assert all(policy.keys() == {"name", "type", policy["type"]} for policy in policies())


def test_whatever_did_not_succeed_is_kept() -> None:
    (kept,) = (policy["string_attribute"]["values"] for policy in policies() if policy["name"] == "not-succeeded")
    assert {*kept, "succeeded"} == set(Status.__args__)  # type: ignore[attr-defined]  # a Literal's values


def test_each_lane_has_a_limit_above_which_it_is_slow_far_below_its_deadline() -> None:
    limits: dict[str, float] = {}
    for policy in SAMPLING["policies"]:
        if policy["type"] == "and":
            lane, slow = policy["and"]["and_sub_policy"]
            limits |= dict.fromkeys(lane["string_attribute"]["values"], slow["latency"]["threshold_ms"] / 1000)
    assert limits.keys() == DEFAULT_TIMEOUT_S.keys()
    assert all(limit <= DEFAULT_TIMEOUT_S[lane] / 10 for lane, limit in limits.items())
    assert SAMPLING["decision_cache"]["sampled_cache_size"] > SAMPLING["num_traces"]


def test_prometheus_scrapes_the_ports_that_the_collector_opens_and_keeps_the_labels_it_gives() -> None:
    jobs = {job["job_name"]: job for job in PROMETHEUS["scrape_configs"]}
    exporter = COLLECTOR["exporters"]["prometheus"]
    (reader,) = COLLECTOR["service"]["telemetry"]["metrics"]["readers"]
    assert exporter["enable_open_metrics"] is True
    assert jobs["headrace"]["honor_labels"] is True
    assert jobs["headrace"]["static_configs"] == [{"targets": [f"collector:{exporter['endpoint'].rpartition(':')[2]}"]}]
    assert jobs["otel-collector"]["static_configs"] == [{"targets": [f"collector:{reader['pull']['exporter']['prometheus']['port']}"]}]
