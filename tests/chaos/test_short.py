"""The short form of `make chaos`, as its users run it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_nothing_accepted_is_lost_when_services_and_the_server_are_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos.run", "--short", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    for part in ("a", "b", "c"):
        assert report[part]["results"] == report[part]["requests"] >= {"a": 150, "b": 150, "c": 100}[part]
        assert report[part]["control_failed"]
