"""The manifests of deploy/k8s as kustomize renders them, and walks over them."""

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from tests.support.processes import ROOT

OVERLAYS = ("small", "production")
WORKLOADS = ("Deployment", "StatefulSet", "Job")
Document = dict[str, Any]


def rendered(overlay: str) -> list[Document]:
    """Every object of an overlay. Skips where kubectl is absent."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed: it renders the manifests of deploy/k8s (kubectl 1.27 or newer)")
    return _rendered(overlay)


@cache
def _rendered(overlay: str) -> list[Document]:
    done = subprocess.run(["kubectl", "kustomize", ROOT / "deploy/k8s/overlays" / overlay], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(overlay: str, *kinds: str) -> list[Document]:
    return [document for document in rendered(overlay) if document["kind"] in kinds]


def named(overlay: str, kind: str, name: str) -> Document:
    """The one object; generated names may have a hash behind."""
    return next(found for found in of_kind(overlay, kind) if found["metadata"]["name"] == name or found["metadata"]["name"].startswith(f"{name}-"))


def pods(overlay: str) -> Iterator[tuple[str, Document]]:
    """Kind/name and pod template of every workload."""
    for workload in of_kind(overlay, *WORKLOADS):
        yield f"{workload['kind']}/{workload['metadata']['name']}", workload["spec"]["template"]
    for scheduled in of_kind(overlay, "CronJob"):
        yield f"CronJob/{scheduled['metadata']['name']}", scheduled["spec"]["jobTemplate"]["spec"]["template"]


def containers(overlay: str) -> Iterator[tuple[str, Document]]:
    for name, pod in pods(overlay):
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            yield f"{name}/{container['name']}", container


def matches(selector: Document, labels: dict[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
