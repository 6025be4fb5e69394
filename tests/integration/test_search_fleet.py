"""Several indexers on one PostgreSQL: they share the documents, one of them makes the vectors, and each finds what any of them indexed."""

import asyncio
import re
import urllib.request
from functools import partial
from pathlib import Path

from bus.server import free_port
from tests.support.postgres import Postgres
from tests.support.processes import eventually
from tests.support.searching import Library, embedded, library

MANY = {f"d{number}": f"Page {number} is about topic {number % 97} and the word unique{number}." for number in range(1200)}
LATE = {f"late{number}": f"What came late, number {number}, about topic {number % 89} and lateness{number}." for number in range(800)}
SAMPLE = range(0, len(MANY), 83)


async def test_indexers_on_one_database_share_the_work_while_one_is_killed_and_either_finds_all(tmp_path: Path, postgres: Postgres) -> None:
    ports = {"indexer-1": free_port(), "indexer-2": free_port()}
    environment = {"HEADRACE_INDEXER_INDEX_URL": postgres.database(), "OTEL_SDK_DISABLED": "false", "HEADRACE_PROBE_PORT": str(ports["indexer-1"])}
    async with library(tmp_path, environment) as lib:
        await _start(lib, "indexer-2", ports)
        publishing = asyncio.create_task(lib.put_all(MANY))
        told = 0
        for number, name in enumerate(ports, start=1):
            await eventually(partial(_documents, lib, 400 * number), 60, 0.02, what="the index growing")
            told += await asyncio.to_thread(embedded, ports[name])
            lib.stack.kill(name)
            await _start(lib, name, ports)
        await publishing
        state = await lib.indexed()
        assert (state["documents"], state["chunks"], state["without_vector"]) == (len(MANY), len(MANY), 0)
        made = await _embedded(ports)
        assert 0 < told + made <= len(MANY)  # what a killed process had embedded but not told of is missing here; never more

        async def all_found_by_each() -> bool:
            for number in SAMPLE:
                assert await lib.ids(f"unique{number}", by="words") == [f"d{number}"]
                assert f"d{number}" in await lib.ids(MANY[f"d{number}"], by="meaning")
            return all([await asyncio.to_thread(_searches, port) >= len(SAMPLE) for port in ports.values()])

        await eventually(all_found_by_each, 60, what="searches answered by each of the two")
        before = await _embedded(ports)
        await lib.put_all(LATE)
        await lib.indexed()
        for number in range(12):  # whichever answers: what one indexed after the other had read all vectors
            assert f"late{number}" in await lib.ids(LATE[f"late{number}"], by="meaning")
        assert await _embedded(ports) == before + len(LATE)


async def _embedded(ports: dict[str, int]) -> int:
    return sum([await asyncio.to_thread(embedded, port) for port in ports.values()])


async def _start(lib: Library, name: str, ports: dict[str, int]) -> None:
    lib.stack.start(name, {"HEADRACE_PROBE_PORT": str(ports[name])})
    await lib.stack.ready(name)


async def _documents(lib: Library, count: int) -> bool:
    return bool((await lib.state())["documents"] >= count)


def _searches(port: int) -> int:
    """How many searches an indexer has answered since it was started."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
        found = re.search(r"headrace_search_duration_seconds_count(?:\{[^}]*\})? ([0-9.e+]+)", page.read().decode())
    return int(float(found.group(1))) if found else 0
