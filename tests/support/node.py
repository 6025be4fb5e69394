"""Programs for Node: their packages are installed once, under .venv/node, and shared by every run of the tests."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

INSTALL_S = 300
OLDEST_NODE = 20


def program(folder: Path, into: Path) -> Path:
    """A copy of a folder with a package.json, beside its packages. Skips where node, npm or the registry is missing."""
    modules = _modules(folder / "package.json")
    copy = into / folder.name
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("node_modules"))
    (copy / "node_modules").symlink_to(modules)
    return copy


def node() -> str:
    """Where node is. Skips where it is missing or too old."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed: install Node.js 20 or newer to run this test")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"node is {version}: this test needs {OLDEST_NODE} or newer")
    return found


def _modules(package: Path) -> Path:
    """The packages that a package.json names, exact versions; a rename puts them in place, so that a reader never sees half of them."""
    node()
    cache = Path(sys.prefix) / "node"
    place = cache / f"{package.parent.name}-{hashlib.sha256(package.read_bytes()).hexdigest()[:12]}"
    if not place.exists():
        cache.mkdir(exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=cache, prefix="installing-"))
        try:
            _install(package, work)
            work.rename(place)
        except OSError:
            if not place.exists():
                raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return place / "node_modules"


def _install(package: Path, work: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed: it comes with Node.js")
    shutil.copy(package, work)
    options = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    log = work / "npm.log"
    with log.open("wb") as output:
        try:
            subprocess.run(
                [npm, "install", *options], cwd=work, stdout=output, stderr=output, stdin=subprocess.DEVNULL, timeout=INSTALL_S, check=True, env=os.environ
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"npm cannot install what {package.parent.name}/package.json names ({type(error).__name__}): {log.read_text()[-500:]}")
