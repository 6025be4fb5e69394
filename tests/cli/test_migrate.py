"""`headrace migrate`: the step before the services of a deployment; done twice it does nothing, failed it pushes nothing."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.configuration import read
from bus.connection import Bus
from bus.server import EmbeddedServer, free_port
from cli import schemas
from cli.session import Failure
from tests.support.processes import ROOT

CONFIG = "version: 2\nproviders:\n  - {id: p, type: openai, base_url: 'http://127.0.0.1:9/v1', models: [{id: m}]}\nroutes:\n  default: {candidates: [p/m]}\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    started = EmbeddedServer(tmp_path / "nats")
    started.start()
    yield started
    started.stop()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "headrace.yaml"
    file.write_text(CONFIG)
    return file


def migrate(url: str, ledger: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "cli.main", "--json", "--nats", url, "migrate", *arguments]
    environment = {**os.environ, "HEADRACE_METER_LEDGER_URL": ledger, "HEADRACE_INDEXER_INDEX_URL": ledger}
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=ROOT, env=environment)


def pushed(url: str) -> bool:
    async def ask() -> bool:
        bus = Bus(url)
        await bus.connect(timeout_s=10)
        try:
            return bool(await bus.nc.jetstream(timeout=10).streams_info()) and await read(bus) is not None
        finally:
            await bus.close()

    return asyncio.run(ask())


def revision(file: Path, name: str = "ledger") -> str:
    connection = sqlite3.connect(file)
    try:
        return str(connection.execute(f"SELECT version_num FROM {name}_revision").fetchone()[0])
    finally:
        connection.close()


def test_everything_is_made_once_and_the_second_time_nothing_is(server: EmbeddedServer, config: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    first = migrate(server.url, f"sqlite:///{ledger}", "--config", str(config))
    assert first.returncode == 0, first.stderr
    done = json.loads(first.stdout)["done"]
    assert done[0].startswith("ledger: ") and "stream REQUESTS: created" in done and done[-1] == "configuration pushed as revision 1"
    again = migrate(server.url, f"sqlite:///{ledger}", "--config", str(config))
    assert (again.returncode, json.loads(again.stdout)) == (0, {"done": [], "left": [], "configuration": None})


def test_a_revision_is_that_of_one_database_and_the_other_stays(server: EmbeddedServer, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    url = f"sqlite:///{ledger}"
    assert migrate(server.url, url).returncode == 0
    assert (revision(ledger), revision(ledger, "index")) == ("0003", "0001")
    down = migrate(server.url, url, "--to", "ledger=0001")
    assert (down.returncode, revision(ledger), revision(ledger, "index")) == (0, "0001", "0001"), down.stderr
    both = migrate(server.url, url, "--to", "ledger=0002", "--to", "index=base")
    assert (both.returncode, revision(ledger)) == (0, "0002"), both.stderr
    assert [line.partition(":")[0] for line in json.loads(both.stdout)["done"]] == ["ledger", "index"]
    alone = migrate(server.url, url, "--to", "ledger=0001")
    assert [line.partition(":")[0] for line in json.loads(alone.stdout)["done"]] == ["ledger"]
    assert migrate(server.url, url).returncode == 0 and (revision(ledger), revision(ledger, "index")) == ("0003", "0001")


@pytest.mark.parametrize(
    ("to", "why"),
    [
        (["0002"], "write DATABASE=REVISION"),
        (["books=0002"], "as ledger=0001 or index=0001"),
        (["ledger="], "write DATABASE=REVISION"),
        (["ledger=0001", "ledger=0002"], "each database once"),
        (["ledger=7"], "choose from base, 0001, 0002, 0003"),
        (["ledger=0001", "index=0002"], "choose from base, 0001"),
        (["ledger=0001", "index=0001"], "set HEADRACE_INDEXER_INDEX_URL"),
    ],
)
def test_what_cannot_be_done_to_one_database_is_said_before_any_is_touched(to: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = tmp_path / "ledger.sqlite"
    for owned in schemas.OWNED:
        monkeypatch.setenv(owned.setting, f"sqlite:///{ledger}")
    schemas.migrated([])
    if why.startswith("set"):
        monkeypatch.delenv(why.removeprefix("set "))
    with pytest.raises(Failure, match=why):
        schemas.migrated(to)
    assert revision(ledger) == "0003"


def test_where_the_ledger_cannot_be_migrated_no_stream_is_made_and_no_configuration_pushed(server: EmbeddedServer, config: Path, tmp_path: Path) -> None:
    away = migrate(server.url, f"postgresql://user:hidden@127.0.0.1:{free_port()}/ledger", "--config", str(config))
    assert away.returncode == 1 and "the ledger cannot be migrated, nothing was changed in it" in away.stderr and "hidden" not in away.stderr
    (tmp_path / "headrace.yaml").write_text("version: 2\nproviders: 7\n")
    refused = migrate(server.url, f"sqlite:///{tmp_path / 'ledger.sqlite'}", "--config", str(config))
    assert refused.returncode == 1 and "providers" in refused.stderr
    assert not pushed(server.url) and not (tmp_path / "ledger.sqlite").exists()
