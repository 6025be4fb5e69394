"""The image is built from deploy/Dockerfile and runs as Kubernetes would run it, where a container engine answers."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.processes import ROOT

IMAGE = "headrace:test"
LOCKED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none")
BUILD_S, RUN_S = 900, 60


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
