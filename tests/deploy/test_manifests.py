"""What must hold in every overlay of deploy/k8s, whatever else changes there."""

from typing import Any

import pytest

from bus.application import GRACE_S
from bus.configuration import load
from bus.probes import PORT
from bus.streams import consumers
from services.adapters.lanes import consumers_of
from tests.deploy.rendering import OVERLAYS, containers, matches, named, of_kind, pods, rendered

SERVICES = ("router", "adapters", "validator", "meter", "indexer")
SECRETS = {"nats-services": {"password"}, "nats-accounts": set(), "provider-keys": set(), "ledger": {"password", "url"}}
"""What deploy/README.md tells an operator to create, and the keys that are read by name."""
LEAVES_S = GRACE_S + 3 + 4
"""A worker's grace, its handlers' last 3 s, and what closes the connections."""
KUBERNETES = "1.32"
KEDA_NAMES = {"router": "router-", "validator": "validator-", "meter": "meter", "adapters": "adapter-", "indexer": "indexer-"}

overlays = pytest.mark.parametrize("overlay", OVERLAYS)


@overlays
def test_every_object_is_what_kubernetes_knows(overlay: str) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed: it holds the schemas of Kubernetes")
    checked = [document for document in rendered(overlay) if not document["apiVersion"].startswith("keda.sh/")]
    for document in checked:
        validator.validate(document, KUBERNETES, strict=True)
    assert len(checked) > 20


def test_every_scaled_object_is_what_keda_knows() -> None:
    keda = pytest.importorskip("cloudcoil.models.keda.v1alpha1", reason="cloudcoil-models-keda is not installed: it holds the schemas of KEDA")
    scaled = of_kind("production", "ScaledObject")
    assert {document["metadata"]["name"] for document in scaled} == set(SERVICES)
    for document in scaled:
        keda.ScaledObject.model_validate(document)


@overlays
def test_each_service_runs_from_the_one_image_as_a_module_of_its_own(overlay: str) -> None:
    for service in SERVICES:
        (container,) = named(overlay, "Deployment", service)["spec"]["template"]["spec"]["containers"]
        assert container["args"] == ["python", "-m", f"services.{service}"]
        assert container["image"].startswith("headrace:")


@overlays
def test_no_image_floats_and_none_names_a_registry(overlay: str) -> None:
    images = {container["image"] for _, container in containers(overlay)}
    assert all(":" in image and not image.endswith(":latest") and "/" not in image for image in images), images


@overlays
def test_no_pod_may_gain_rights_or_write_to_its_image(overlay: str) -> None:
    for name, pod in pods(overlay):
        assert pod["spec"]["automountServiceAccountToken"] is False, name
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True, name
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
    for name, container in containers(overlay):
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}, name
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
        assert "memory" in container["resources"]["limits"], name


@overlays
def test_secrets_are_named_and_never_kept_here(overlay: str) -> None:
    assert of_kind(overlay, "Secret") == []
    for name, container in containers(overlay):
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            assert reference is None or reference["key"] in SECRETS[reference["name"]], (name, variable)
            assert reference or not any(word in variable["name"] for word in ("PASSWORD", "KEY", "TOKEN", "LEDGER_URL", "INDEX_URL")), (name, variable)
        assert {source["secretRef"]["name"] for source in container.get("envFrom", [])} <= set(SECRETS), name
    for name, pod in pods(overlay):
        assert {volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume} <= set(SECRETS), name


@overlays
def test_what_a_pod_mounts_is_there(overlay: str) -> None:
    maps = {document["metadata"]["name"] for document in of_kind(overlay, "ConfigMap")}
    claims = {document["metadata"]["name"] for document in of_kind(overlay, "PersistentVolumeClaim")}
    own_claims = {f"StatefulSet/{found['metadata']['name']}": found["spec"].get("volumeClaimTemplates", []) for found in of_kind(overlay, "StatefulSet")}
    for name, pod in pods(overlay):
        spec = pod["spec"]
        own = {claim["metadata"]["name"] for claim in own_claims.get(name, [])}
        volumes = {volume["name"] for volume in spec["volumes"]} | own
        assert {volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume} <= maps
        assert {volume["persistentVolumeClaim"]["claimName"] for volume in spec["volumes"] if "persistentVolumeClaim" in volume} <= claims
        for container in spec["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


@overlays
def test_every_selector_finds_a_pod(overlay: str) -> None:
    labels = [pod["metadata"]["labels"] for _, pod in pods(overlay)]

    def finds(selector: dict[str, Any]) -> bool:
        return any(matches(selector, found) for found in labels)

    for service in of_kind(overlay, "Service"):
        assert finds({"matchLabels": service["spec"]["selector"]}), service
    for budget in of_kind(overlay, "PodDisruptionBudget"):
        assert finds(budget["spec"]["selector"]), budget
        assert budget["spec"]["maxUnavailable"] == 1
    for policy in of_kind(overlay, "NetworkPolicy"):
        assert finds(policy["spec"]["podSelector"]), policy
        for rule in [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]:
            peers = rule.get("from", rule.get("to", []))
            assert all(finds(peer["podSelector"]) for peer in peers if "podSelector" in peer), rule


@overlays
def test_who_talks_to_nats_or_postgresql_is_let_through(overlay: str) -> None:
    for name, pod in pods(overlay):
        variables = {variable["name"] for container in pod["spec"]["containers"] for variable in container.get("env", [])}
        labels = pod["metadata"]["labels"]
        assert ("HEADRACE_NATS" in variables) == (labels.get("headrace.io/client") == "nats"), name
        assert bool({"HEADRACE_METER_LEDGER_URL", "HEADRACE_INDEXER_INDEX_URL"} & variables) == (labels.get("headrace.io/client-of") == "postgres"), name
    (deny,) = (policy for policy in of_kind(overlay, "NetworkPolicy") if policy["metadata"]["name"] == "default-deny")
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@overlays
def test_each_service_is_asked_whether_it_lives_and_works_and_has_time_to_leave(overlay: str) -> None:
    for service in SERVICES:
        pod = named(overlay, "Deployment", service)["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        port = next(found for found in container["ports"] if found["name"] == "probes")["containerPort"]
        assert {"name": PORT, "value": str(port)} in container["env"]
        assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "probes"}
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "probes"}
        assert pod["terminationGracePeriodSeconds"] >= 1.5 * LEAVES_S


@overlays
def test_the_shipped_configuration_is_valid_and_pushed(overlay: str) -> None:
    name = named(overlay, "ConfigMap", "headrace-config")["metadata"]["name"]
    volumes = named(overlay, "Job", "provision")["spec"]["template"]["spec"]["volumes"]
    assert {"name": "config", "configMap": {"name": name}} in volumes
    assert load(named(overlay, "ConfigMap", "headrace-config")["data"]["headrace.yaml"]).providers


def test_keda_looks_at_every_consumer_of_each_service_and_at_no_other() -> None:
    config = load(named("production", "ConfigMap", "headrace-config")["data"]["headrace.yaml"])
    declared = [*consumers().values(), *(consumer for provider in config.providers for consumer in consumers_of(provider, "llm.v1."))]
    for service in SERVICES:
        wanted = {(consumer.stream, consumer.durable) for consumer in declared if consumer.durable.startswith(KEDA_NAMES[service])}
        triggers = [trigger["metadata"] for trigger in named("production", "ScaledObject", service)["spec"]["triggers"]]
        assert {(trigger["stream"], trigger["consumer"]) for trigger in triggers} == wanted
        assert {trigger["account"] for trigger in triggers} == {"HEADRACE"}
        assert {trigger["natsServerMonitoringEndpoint"] for trigger in triggers} == {"nats.headrace.svc.cluster.local:8222"}


def test_production_keeps_three_of_everything_that_holds_data_and_small_one_writer_of_sqlite() -> None:
    assert named("production", "StatefulSet", "nats")["spec"]["replicas"] == 3
    environment = named("production", "Job", "provision")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "REPLICAS", "value": "3"} in environment
    for service in ("meter", "indexer"):
        deployment = named("small", "Deployment", service)["spec"]
        assert deployment["replicas"] == 1
        assert deployment["strategy"] == {"type": "Recreate"}
    assert of_kind("small", "ScaledObject") == []


def test_the_replicas_that_keda_sets_are_set_nowhere_else() -> None:
    for scaled in of_kind("production", "ScaledObject"):
        assert "replicas" not in named("production", "Deployment", scaled["spec"]["scaleTargetRef"]["name"])["spec"]
