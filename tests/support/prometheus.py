"""A real Prometheus that scrapes what a test started, each second, under the names that the rules expect."""

import asyncio
import json
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bus.server import free_port
from tests.support.processes import ROOT, eventually

RULES = ROOT / "observability" / "prometheus" / "rules"


class Prometheus:
    """`targets`: job → port on loopback."""

    def __init__(self, folder: Path, targets: Mapping[str, int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.targets, self.port = folder, targets, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def installed() -> bool:
        return shutil.which("prometheus") is not None

    async def start(self) -> None:
        """Returns when it answers. AssertionError with the end of its log where it does not."""
        jobs = [{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for job, port in self.targets.items()]
        config = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [f"{RULES}/*.yaml"], "scrape_configs": jobs}
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        await asyncio.to_thread(self._launch)
        await eventually(self._ready, 30, what=f"an answer of Prometheus, whose log is {self.folder}/prometheus.log")

    def _launch(self) -> None:
        command = ["prometheus", f"--config.file={self.folder}/prometheus.yaml", f"--storage.tsdb.path={self.folder}/data"]
        with (self.folder / "prometheus.log").open("ab") as log:
            self.process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    async def _ready(self) -> bool:
        try:
            await self.ask("query", query="1")
        except OSError:
            return False
        return True

    async def ask(self, what: str, **parameters: str) -> Any:
        """The `data` of an answer of /api/v1. Raises OSError; urllib.error.HTTPError has the reason of a refused query."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        return json.loads(await asyncio.to_thread(_get, url))["data"]

    async def series(self, query: str) -> list[dict[str, Any]]:
        """What an instant query returns now."""
        found: list[dict[str, Any]] = (await self.ask("query", query=query))["result"]
        return found

    async def over_time(self, query: str, start: float, end: float) -> list[dict[str, Any]]:
        """What a range query returns, a value each second."""
        found: list[dict[str, Any]] = (await self.ask("query_range", query=query, start=str(start), end=str(end), step="1"))["result"]
        return found

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        body: bytes = answer.read()
        return body
