"""The corpus's own replay server in this process, and what it was asked."""

import importlib.util
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.corpus.recording import Recording


@dataclass(frozen=True)
class Replay:
    """Recordings served over real HTTP, each at a prefix of its own."""

    url: str
    session: aiohttp.ClientSession

    def prefix(self, recording: Recording) -> str:
        return f"{self.url}/r/{recording.id}"

    async def sent(self, recording: Recording) -> list[dict[str, Any]]:
        """What was asked below the recording's prefix: method, path, query, headers, body."""
        async with self.session.get(f"{self.url}/sent/{recording.id}") as response:
            asked: list[dict[str, Any]] = await response.json()
            return asked

    async def shape(self, recording: Recording, **how: Any) -> None:
        """Cut, stall or split the next answers of this recording; the server's docstring names the ways."""
        async with self.session.post(f"{self.url}/shape/{recording.id}", json=how) as response:
            response.raise_for_status()


@asynccontextmanager
async def replaying(folder: Path, served: Iterable[Recording]) -> AsyncIterator[Replay]:
    spec = importlib.util.spec_from_file_location("corpus_replay", folder / "replay.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    runner = web.AppRunner(module.app({recording.id: recording.line for recording in served}), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            yield Replay(f"http://127.0.0.1:{runner.addresses[0][1]}", session)
    finally:
        await runner.cleanup()
