"""The parts of deploy/ that real programs read: NATS's configuration, the provisioning script, the Dockerfile."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bus.server import EmbeddedServer, find_binary
from tests.deploy.rendering import OVERLAYS, named
from tests.support.accounts import ACCOUNTS, PASSWORD
from tests.support.processes import ROOT

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


def variables(container: dict[str, Any]) -> dict[str, str]:
    """What the container's environment says without a Secret."""
    return {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_server_accepts_its_configuration_with_the_accounts_included(tmp_path: Path, overlay: str) -> None:
    (container,) = named(overlay, "StatefulSet", "nats")["spec"]["template"]["spec"]["containers"]
    mounts = {mount["name"]: tmp_path / mount["mountPath"].lstrip("/") for mount in container["volumeMounts"]}
    for name in ("config", "accounts"):
        mounts[name].mkdir(parents=True)
    for name, text in named(overlay, "ConfigMap", "nats-config")["data"].items():
        (mounts["config"] / name).write_text(text.replace("/data", str(tmp_path / "data")))
    tenant = (ACCOUNTS / "tenant.conf.template").read_text().replace("@TENANT@", "acme").replace("@PASSWORD@", "$HEADRACE_SERVICES_PASSWORD")
    (mounts["accounts"] / "accounts.conf").write_text((ACCOUNTS / "accounts.conf").read_text())
    (mounts["accounts"] / "tenants.conf").write_text(tenant)
    environment = {**os.environ, **variables(container), "POD_NAME": "nats-0", "HEADRACE_SERVICES_PASSWORD": PASSWORD}
    file = tmp_path / container["command"][-1].lstrip("/")
    done = subprocess.run([find_binary(), "-t", "-c", file], capture_output=True, text=True, timeout=20, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_provisioning_job_ends_well_on_a_new_bus_and_fails_where_the_configuration_is_refused(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "nats")
    server.start()
    try:
        (container,) = named("small", "Job", "provision")["spec"]["template"]["spec"]["containers"]
        (tmp_path / "headrace.yaml").write_text(named("small", "ConfigMap", "headrace-config")["data"]["headrace.yaml"])
        (tmp_path / "headrace").write_text(f'#!/bin/sh\nexec {sys.executable} -m cli.main "$@"\n')
        (tmp_path / "headrace").chmod(0o755)
        command = [*container["args"][:2], container["args"][2].replace("/etc/headrace", str(tmp_path))]
        environment = {**os.environ, **variables(container), "HEADRACE_NATS": server.url, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        (tmp_path / "headrace.yaml").write_text("version: 2\nproviders: 7\n")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=ROOT)
        assert done.returncode != 0
    finally:
        server.stop()


def test_the_backup_job_saves_into_a_folder_of_its_time_and_takes_away_what_is_old_only_after_that(tmp_path: Path) -> None:
    server, backups = EmbeddedServer(tmp_path / "nats"), tmp_path / "backups"
    server.start()
    try:
        (container,) = named("production", "CronJob", "backup")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        for age_days, name in {40: "old", 10: "young"}.items():
            (backups / name).mkdir(parents=True)
            then = time.time() - age_days * 86400
            os.utime(backups / name, (then, then))
        (tmp_path / "headrace").write_text(f'#!/bin/sh\nexec {sys.executable} -m cli.main "$@"\n')
        (tmp_path / "headrace").chmod(0o755)
        command = [*container["args"][:2], container["args"][2].replace("/backups", str(backups))]
        environment = {**os.environ, **variables(container), "HEADRACE_NATS": server.url, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        failed = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=ROOT)
        assert failed.returncode != 0 and "doctor --apply" in failed.stderr
        assert {"old", "young"} <= {path.name for path in backups.iterdir()}
        subprocess.run([tmp_path / "headrace", "migrate"], check=True, capture_output=True, timeout=60, env=environment, cwd=ROOT)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "old" not in {path.name for path in backups.iterdir()} and (backups / "young").exists()
        (saved,) = (path for path in backups.iterdir() if (path / "SHA256SUMS").exists())
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], check=True, cwd=saved)
    finally:
        server.stop()


def test_the_image_holds_every_package_of_the_distribution() -> None:
    packages = set(re.findall(r'"(\w+)\*"', (ROOT / "pyproject.toml").read_text()))
    copied = set(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.MULTILINE))
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert packages == copied
    assert packages <= kept


def test_the_image_installs_only_what_has_a_hash_and_runs_as_nobody_in_particular() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert set(bases) == {"python:3.11-slim"}
    installs = re.findall(r"(?:pip|python) (?:--python \S+ )?install [^\n&]*", DOCKERFILE)
    assert len(installs) == 3
    assert all("--require-hashes" in install or "--no-index" in install for install in installs)
    final = DOCKERFILE.rpartition("FROM ")[2]
    user = re.search(r"^USER (\d+):", final, re.MULTILINE)
    assert user is not None
    assert int(user[1]) > 0
    assert named("small", "Deployment", "router")["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == int(user[1])
