"""deploy/k8s with the component `telemetry`: services send spans to a collector of ours and are scraped, and nothing else is let through."""

from typing import Any

import pytest
import yaml

from tests.deploy.rendering import named, of_kind, pods, rendered
from tests.deploy.test_manifests import KUBERNETES, SERVICES
from tests.support.processes import ROOT

OBSERVED = "../../../tests/deploy/observed"
"""An overlay of ours, seen from where the overlays are."""


def environment(service: str) -> dict[str, Any]:
    (container,) = named(OBSERVED, "Deployment", service)["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable.get("value") for variable in container["env"]}


def open_ports(policy: str) -> set[int]:
    """The ports to which a policy lets others in."""
    spec = named(OBSERVED, "NetworkPolicy", policy)["spec"]
    return {port["port"] for rule in spec["ingress"] for port in rule["ports"]}


def test_every_object_of_it_is_what_kubernetes_knows() -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed: it holds the schemas of Kubernetes")
    checked = [document for document in rendered(OBSERVED) if not document["apiVersion"].startswith("keda.sh/")]
    for document in checked:
        validator.validate(document, KUBERNETES, strict=True)
    assert len(checked) > 25


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_sends_its_spans_to_the_collector_and_is_scraped_once(service: str) -> None:
    variables = environment(service)
    ports = {port["name"]: port["port"] for port in named(OBSERVED, "Service", "collector")["spec"]["ports"]}
    assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://collector:{ports['otlp-http']}"
    assert variables["OTEL_METRICS_EXPORTER"] == "prometheus"
    annotations = named(OBSERVED, "Deployment", service)["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"prometheus.io/scrape": "true", "prometheus.io/port": variables["HEADRACE_PROBE_PORT"], "prometheus.io/path": "/metrics"}


def test_the_collector_reads_the_configuration_that_compose_reads_and_opens_its_ports() -> None:
    stored = named(OBSERVED, "ConfigMap", "collector-config")
    assert stored["data"]["collector.yaml"] == (ROOT / "observability" / "collector.yaml").read_text()
    pod = named(OBSERVED, "Deployment", "collector")["spec"]["template"]["spec"]
    assert pod["volumes"] == [{"name": "config", "configMap": {"name": stored["metadata"]["name"]}}]
    (container,) = pod["containers"]
    config = yaml.safe_load(stored["data"]["collector.yaml"])
    protocols = config["receivers"]["otlp"]["protocols"]
    endpoints = [protocols["grpc"]["endpoint"], protocols["http"]["endpoint"], config["exporters"]["prometheus"]["endpoint"]]
    own = config["service"]["telemetry"]["metrics"]["readers"][0]["pull"]["exporter"]["prometheus"]["port"]
    listening = {int(endpoint.rpartition(":")[2]) for endpoint in [*endpoints, config["extensions"]["health_check"]["endpoint"]]} | {own}
    assert {port["containerPort"] for port in container["ports"]} == listening
    assert named(OBSERVED, "Deployment", "collector")["spec"]["replicas"] == 1


def test_compose_and_kubernetes_run_the_same_collector() -> None:
    (container,) = named(OBSERVED, "Deployment", "collector")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]["collector"]["image"]


def test_rules_and_dashboards_go_along_whole() -> None:
    for name, folder, ending in (("prometheus-rules", "prometheus/rules", "yaml"), ("grafana-dashboards", "grafana/dashboards", "json")):
        files = {path.name: path.read_text() for path in (ROOT / "observability" / folder).glob(f"*.{ending}")}
        assert named(OBSERVED, "ConfigMap", name)["data"] == files


def test_whoever_reads_metrics_is_let_through_and_only_to_them() -> None:
    assert open_ports("scrape") == {8080}
    assert open_ports("collector") == {4317, 4318, 8888, 8889}
    for policy in ("scrape", "collector"):
        peers = [peer for rule in named(OBSERVED, "NetworkPolicy", policy)["spec"]["ingress"] for peer in rule["from"]]
        assert all("namespaceSelector" in peer or "podSelector" in peer for peer in peers)


def test_the_collector_has_no_rights_either() -> None:
    for name, pod in pods(OBSERVED):
        for container in pod["spec"]["containers"]:
            assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}, name
    assert len(of_kind(OBSERVED, "Deployment")) == len(SERVICES) + 1
