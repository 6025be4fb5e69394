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
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env=environment)


def pushed(url: str) -> bool:
    async def ask() -> bool:
        bus = Bus(url)
        await bus.connect(timeout_s=10)
        try:
            return bool(await bus.nc.jetstream(timeout=10).streams_info()) and await read(bus) is not None
        finally:
            await bus.close()

    return asyncio.run(ask())


def revision(file: Path) -> str:
    connection = sqlite3.connect(file)
    try:
        return str(connection.execute("SELECT version_num FROM ledger_revision").fetchone()[0])
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
    down = migrate(server.url, f"sqlite:///{ledger}", "--to", "0001")
    assert down.returncode == 0 and revision(ledger) == "0001"
    assert migrate(server.url, f"sqlite:///{ledger}").returncode == 0 and revision(ledger) == "0003"
    refused = migrate(server.url, f"sqlite:///{ledger}", "--to", "7")
    assert refused.returncode == 1 and "choose from base, 0001, 0002, 0003" in refused.stderr


def test_where_the_ledger_cannot_be_migrated_no_stream_is_made_and_no_configuration_pushed(server: EmbeddedServer, config: Path, tmp_path: Path) -> None:
    away = migrate(server.url, f"postgresql://user:hidden@127.0.0.1:{free_port()}/ledger", "--config", str(config))
    assert away.returncode == 1 and "the ledger cannot be migrated, nothing was changed in it" in away.stderr and "hidden" not in away.stderr
    (tmp_path / "headrace.yaml").write_text("version: 2\nproviders: 7\n")
    refused = migrate(server.url, f"sqlite:///{tmp_path / 'ledger.sqlite'}", "--config", str(config))
    assert refused.returncode == 1 and "providers" in refused.stderr
    assert not pushed(server.url) and not (tmp_path / "ledger.sqlite").exists()
