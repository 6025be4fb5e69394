"""Programs for Node: their packages are installed once, under .venv/node, and shared by every run of the tests."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

INSTALL_S = 120
OPTIONS = ("--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1")
OLDEST_NODE = 20


def program(folder: Path, into: Path) -> Path:
    """A copy of a folder with a package.json, beside its packages. Skips where node, npm or the registry is missing."""
    node()
    modules = _modules(folder / "package.json")
    if isinstance(modules, str):
        pytest.skip(modules)
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


@cache
def _modules(package: Path) -> Path | str:
    """The packages that a package.json names, exact versions, or why they cannot be had; asked once, since a registry that is away answers slowly."""
    place = Path(sys.prefix) / "node" / f"{package.parent.name}-{hashlib.sha256(package.read_bytes()).hexdigest()[:12]}"
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=place.parent, prefix="installing-"))
        try:
            fault = _install(package, work)
            if fault:
                return fault
            work.rename(place)  # at once, so that nobody sees half of them
        except OSError:
            if not place.exists():  # another run was first
                raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return place / "node_modules"


def _install(package: Path, work: Path) -> str | None:
    """Why it did not work, if it did not."""
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed: it comes with Node.js"
    shutil.copy(package, work)
    log = work / "npm.log"
    with log.open("wb") as output:
        try:
            subprocess.run([npm, "install", *OPTIONS], cwd=work, stdout=output, stderr=output, stdin=subprocess.DEVNULL, timeout=INSTALL_S, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            return f"npm cannot install what {package.parent.name}/package.json names ({type(error).__name__}): {log.read_text()[-500:]}"
    return None
