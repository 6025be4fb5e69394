"""The image is built from deploy/Dockerfile and runs as Kubernetes would run it, where a container engine answers."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.processes import ROOT

IMAGE = "headrace:test"
LOCKED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none")
BUILD_S, RUN_S = 900, 60
WHOLE = """
printf '%s' "$CONFIG" > /tmp/headrace.yaml && mkdir /tmp/texts && echo 'Goods may be returned within thirty days.' > /tmp/texts/returns.md
headrace up --config /tmp/headrace.yaml --data-dir /tmp/data & up=$!
for _ in $(seq 40); do headrace doctor > /tmp/doctor.txt 2>&1 && break; sleep 1; done
cat /tmp/doctor.txt && headrace index /tmp/texts && headrace search --json 'how long may goods be returned'
headrace ask Hello; kill -TERM $up; wait $up; echo "up ended with $?"
"""
"""Everything in one container that reaches nobody: the provider cannot be dialled, and that is the request's answer."""
PROVIDER = "{id: away, type: openai, base_url: 'http://127.0.0.1:9/v1', models: [{id: small}]}"
CONFIG = f"{{version: 2, providers: [{PROVIDER}], routes: {{default: {{candidates: [away/small]}}}}}}"


def docker(*arguments: str, within_s: float = RUN_S) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=within_s, cwd=ROOT)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return docker("run", "--rm", *LOCKED, IMAGE, *command)


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    if shutil.which("docker") is None or docker("version").returncode != 0:
        pytest.skip("no container engine answers; what the Dockerfile says is tested without one in test_servers.py")
    built = docker("build", "-q", "--network=host", "-f", "deploy/Dockerfile", "-t", IMAGE, ".", within_s=BUILD_S)
    assert built.returncode == 0, built.stdout + built.stderr
    yield IMAGE
    docker("rmi", "-f", IMAGE)


@pytest.mark.container
@pytest.mark.slow
@pytest.mark.timeout(BUILD_S + 5 * RUN_S)
def test_the_image_runs_without_rights_on_a_root_that_cannot_be_written(image: str) -> None:
    assert run("id", "-u").stdout.strip() == "10001"
    assert "Read-only file system" in run("touch", "/app/anything").stderr
    version = run("python", "-c", "from importlib.metadata import version; print(version('headrace'))")
    assert version.stdout.strip() == "0.1.0", version.stderr
    assert "Usage: headrace" in run("headrace", "--help").stdout
    extras = run("python", "-c", "import psycopg, cryptography, botocore, google.auth, services.router.app, services.adapters.app; print('all')")
    assert extras.stdout.strip() == "all", extras.stderr


@pytest.mark.container
@pytest.mark.slow
@pytest.mark.timeout(BUILD_S + 5 * RUN_S)
def test_all_services_work_in_the_image(image: str) -> None:
    done = docker("run", "--rm", *LOCKED, "-e", f"CONFIG={CONFIG}", image, "sh", "-c", WHOLE, within_s=3 * RUN_S)
    said = done.stdout + done.stderr
    assert "returns.md" in done.stdout and '"words_rank": 1' in done.stdout and '"meaning_rank": 1' in done.stdout, said
    assert "unavailable" in said, said
    assert "up ended with 0" in done.stdout, said
