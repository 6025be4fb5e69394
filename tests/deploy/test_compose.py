"""deploy/compose.yaml: every profile is accepted, its parts fit together, and .env.example names what it reads."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from typer.testing import CliRunner

from bus.configuration import load
from bus.server import find_binary
from cli.main import app
from tests.support.processes import ROOT

DEPLOY = ROOT / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text()
PROFILES = {"local": "local", "local-gpu": "local", "hybrid": "hybrid", "cloud": "cloud", "vllm": "vllm"}
"""The configuration of each profile."""
VARIABLE = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")
OBSERVABILITY = ROOT / "observability"
STATEFUL = {"nats", "meter", "indexer", "prometheus", "grafana", "ollama", "ollama-gpu", "vllm"}
Service = dict[str, Any]

each_profile = pytest.mark.parametrize("profile", PROFILES)


@cache
def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(TEXT)
    return found


def services() -> dict[str, Service]:
    found: dict[str, Service] = document()["services"]
    return found


def lasting() -> dict[str, Service]:
    """The services that run on; the others end when they are done."""
    return {name: service for name, service in services().items() if service.get("restart") == "unless-stopped"}


def chosen(profile: str) -> dict[str, Service]:
    return {name: service for name, service in services().items() if profile in service.get("profiles", [profile])}


def mounted(service: Service) -> list[tuple[str, str]]:
    """Source and target of each volume."""
    return [(source, target) for source, target, *_ in (volume.split(":") for volume in service.get("volumes", []))]


@each_profile
def test_a_profile_is_accepted(profile: str) -> None:
    command = [str(Path(sys.executable).parent / "podman-compose"), "-f", "deploy/compose.yaml", "--profile", profile, "config"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == set(chosen(profile))


def test_the_example_names_every_variable_with_the_default_that_holds_without_it() -> None:
    lines = [line for line in (DEPLOY / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    assert dict(line.split("=", 1) for line in lines) == dict(VARIABLE.findall(TEXT))
    assert len(re.findall(r"\$\{?\w", TEXT)) == len(VARIABLE.findall(TEXT)), "a variable has no default"


def test_every_service_of_headrace_runs_locked_in_from_the_one_image_and_says_when_it_is_ready() -> None:
    own = {name: service for name, service in lasting().items() if service["image"].startswith("headrace:")}
    folders = {path.parent.name for path in (ROOT / "services").glob("*/__main__.py")} - {"local_model"}
    assert folders <= set(own)
    for name, service in own.items():
        assert service["command"] == ["python", "-m", f"services.{name}"]
        assert (service["read_only"], service["user"], service["cap_drop"]) == (True, "10001:10001", ["ALL"])
        assert any("/readyz" in word for word in service["healthcheck"]["test"])
        assert service["environment"]["HEADRACE_PROBE_PORT"] in service["healthcheck"]["test"][-1]
        assert {"bus", "telemetry"} <= set(service["networks"])
        assert service["depends_on"]["nats"] == {"condition": "service_healthy"}


def test_every_service_that_runs_on_has_a_health_check_and_a_network() -> None:
    assert len(lasting()) >= 12
    for name, service in lasting().items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["networks"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_whatever_keeps_something_has_a_volume_of_its_own() -> None:
    kept = {name: {source for source, _ in mounted(service) if "/" not in source} - {"tools"} for name, service in lasting().items()}
    assert {name for name, volumes in kept.items() if volumes} == STATEFUL
    owners = [volume for name, volumes in kept.items() if name != "ollama-gpu" for volume in volumes]
    assert len(owners) == len(set(owners))


def test_every_volume_and_network_that_is_declared_is_used_and_the_other_way_round() -> None:
    volumes = {source for service in services().values() for source, _ in mounted(service) if "/" not in source}
    networks = {network for service in services().values() for network in service.get("networks", [])}
    assert volumes == set(document()["volumes"])
    assert networks == set(document()["networks"])


def test_every_file_that_is_mounted_is_there() -> None:
    for name, service in services().items():
        for source, _ in mounted(service):
            assert "/" not in source or (DEPLOY / source).exists(), (name, source)


def test_no_image_floats_and_no_port_is_open_to_others() -> None:
    for name, service in services().items():
        assert re.search(r":(?!latest)[^/]+$", service["image"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_the_bus_and_the_telemetry_have_no_way_out() -> None:
    assert {name for name, network in document()["networks"].items() if network and network.get("internal")} == {"bus", "telemetry", "models"}
    assert {name for name, service in lasting().items() if "outside" in service["networks"]} == {
        *("nats", "adapters", "ollama", "ollama-gpu", "vllm"),
        *("jaeger", "prometheus", "grafana"),
    }


@each_profile
def test_who_waits_for_a_service_waits_for_one_that_the_profile_starts(profile: str) -> None:
    for name, service in chosen(profile).items():
        for other, wanted in service.get("depends_on", {}).items():
            assert other in chosen(profile), (name, other)
            assert wanted["condition"] in ("service_healthy", "service_completed_successfully")
            assert (wanted["condition"] == "service_healthy") == (other in lasting()), (name, other)


@each_profile
def test_a_profiles_configuration_is_valid_pushed_and_asks_for_what_the_profile_has(profile: str) -> None:
    text = (DEPLOY / "config" / f"{PROFILES[profile]}.yaml").read_text()
    config = load(text)
    (provision,) = (service for name, service in chosen(profile).items() if name.startswith("provision"))
    assert mounted(provision) == [(f"./config/{PROFILES[profile]}.yaml", "/etc/headrace/headrace.yaml")]
    assert set(re.findall(r"\$\{(\w+)\}", text)) <= set(services()["adapters"]["environment"])
    hosts = {urlsplit(provider.base_url).hostname for provider in config.providers if provider.base_url and provider.base_url.startswith("http")}
    assert hosts <= {name.removesuffix("-gpu") for name in chosen(profile)}
    pulled = set(re.findall(r"ollama pull (\S+)", str(chosen(profile).get("ollama-models", {}).get("entrypoint"))))
    assert {model.id for provider in config.providers if provider.id == "ollama" for model in provider.models} == {name.rstrip("']") for name in pulled}
    assert "default" in config.routes


@pytest.mark.parametrize("name", sorted(set(PROFILES.values())))
def test_the_configuration_check_of_the_command_line_accepts_it_too(name: str) -> None:
    done = CliRunner().invoke(app, ["config", "check", str(DEPLOY / "config" / f"{name}.yaml")])
    assert done.exit_code == 0, done.output


def test_the_server_accepts_its_configuration(tmp_path: Path) -> None:
    file = tmp_path / "nats.conf"
    file.write_text((DEPLOY / "config/nats.conf").read_text().replace("/data", str(tmp_path)))
    done = subprocess.run([find_binary(), "-t", "-c", file], capture_output=True, text=True, timeout=20, env={"HEADRACE_SERVICES_PASSWORD": "headrace"})
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_grafana_and_the_collector_find_each_other() -> None:
    prometheus = yaml.safe_load((OBSERVABILITY / "prometheus/prometheus.yaml").read_text())
    sources = yaml.safe_load((OBSERVABILITY / "grafana/provisioning/datasources/headrace.yaml").read_text())["datasources"]
    collector = (OBSERVABILITY / "collector.yaml").read_text()
    hosts = {target.split(":")[0] for job in prometheus["scrape_configs"] for each in job["static_configs"] for target in each["targets"]} - {"127.0.0.1"}
    hosts |= {str(urlsplit(source["url"]).hostname) for source in sources}
    hosts |= set(re.findall(r":-(\w+):\d+\}", collector))
    hosts |= {str(urlsplit(services()["router"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"]).hostname)}
    assert hosts == {"collector", "prometheus", "jaeger"}
    assert all("telemetry" in services()[host]["networks"] for host in hosts)
    (provider,) = yaml.safe_load((OBSERVABILITY / "grafana/provisioning/dashboards/headrace.yaml").read_text())["providers"]
    assert provider["options"]["path"] in {target for _, target in mounted(services()["grafana"])}
