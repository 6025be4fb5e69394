"""The search for what must not come out finds it, and the run fails by it."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.canaries import Kind
from tests.support.canary_run import Collector
from tests.support.canary_search import leaks_below, leaks_in, marks_of, rule_of

ROOT = Path(__file__).resolve().parents[2]
TOLD = 'the "marmoset" of\nAnn'
"""As a prompt of the tests might read; not one of this run's own marks, or this file's output would be a leak of it."""
MARKS = marks_of([("prompt", TOLD), ("key", "gibbon-of-the-key")])
PROGRAM = """
from pathlib import Path
from tests.support import canaries, canary_run
def pytest_configure(config): canary_run.begin(config)
"""


def found(name: str, text: str) -> list[str]:
    kinds = rule_of(f"/x/{name}").kinds
    return [str(leak) for leak in leaks_in(name, text.encode(), [mark for mark in MARKS if mark.kind in kinds])]


def test_a_prompt_is_found_as_it_is_and_as_json_writes_it_with_its_line_and_never_shown() -> None:
    assert found("router.log", f"one\ntwo {TOLD}") == ["router.log:2: prompt"]
    assert found("router.log", 'one\n\n{"message":"the \\"marmoset\\" of\\nAnn"}') == ["router.log:3: prompt"]
    assert found("router.log", "the marmoset of Ann") == []


@pytest.mark.parametrize(
    ("place", "kinds"),
    [
        ("nats/jetstream/$G/streams/NOTICES/msgs/1.blk", ("key", "prompt")),
        ("nats/jetstream/$G/streams/COSTS/msgs/1.blk", ("key", "prompt")),
        ("nats/jetstream/$G/streams/KV_HEALTH/msgs/1.blk", ("key", "prompt")),
        ("nats/jetstream/$G/streams/REQUESTS/msgs/1.blk", ("key",)),
        ("nats/jetstream/$G/streams/DEAD_LETTERS/msgs/1.blk", ("key",)),
        ("otlp/v1-traces", ("key", "prompt")),
        ("captured.log", ("key", "prompt")),
        ("ledger.sqlite-wal", ("key", "prompt")),
        ("headrace.yaml", ("key",)),
        ("seen.12.jsonl", ()),
    ],
)
def test_what_may_stand_where(place: str, kinds: tuple[Kind, ...]) -> None:
    told = found(place, f"x {TOLD} gibbon-of-the-key")
    assert sorted(each.rpartition(": ")[2] for each in told) == sorted(kinds)


def test_everything_below_a_folder_is_looked_through(tmp_path: Path) -> None:
    deep = tmp_path / "a/jetstream/$G/streams/NOTICES/msgs"
    deep.mkdir(parents=True)
    (deep / "1.blk").write_bytes(b"\0\xff" + TOLD.encode() + b"\0")
    assert [str(leak) for leak in leaks_below(tmp_path, MARKS)] == ["a/jetstream/$G/streams/NOTICES/msgs/1.blk:1: prompt"]


def test_telemetry_is_kept_as_it_came(tmp_path: Path) -> None:
    collector = Collector(tmp_path / "otlp")
    for number in range(2):
        urllib.request.urlopen(urllib.request.Request(f"{collector.url}/v1/traces", data=b"\0span %d" % number), timeout=10).close()
    collector.end()
    assert (tmp_path / "otlp/v1-traces").read_bytes() == b"\0span 0\n\0span 1\n" and collector.received == 2


SAYS = (
    "tmp_path.joinpath('service.log').write_text(TOLD)",
    "print('a', TOLD)",
    "redaction.conceal(TOLD[2:]); tmp_path.joinpath('request.json').write_text(TOLD)",
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("workers", "bodies", "leaks"), [("0", ("tmp_path.joinpath('request.json').write_text(TOLD)",), 0), ("1", SAYS, 5)])
def test_a_run_in_which_something_came_out_fails_and_says_where(workers: str, bodies: tuple[str, ...], leaks: int, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(PROGRAM)
    tests = "".join(f"def test_{number}(tmp_path):\n    canaries.saw('prompt', TOLD)\n    {body}\n" for number, body in enumerate(bodies))
    (tmp_path / "test_it.py").write_text(
        f"from observability import redaction\nfrom tests.support import canaries\nTOLD = 'a tale of ' + 'tamarins' * 2 + ' here'\n{tests}"
    )
    options = ["-q", "-p", "no:cacheprovider", "-n", workers, "--rootdir", str(tmp_path), "--basetemp", str(tmp_path / "base")]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout.count("LEAK ")) == (int(leaks > 0), leaks), done.stdout
    assert "tamarinstamarins" not in done.stdout
