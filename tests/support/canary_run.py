"""At the end of a run: no key, prompt or answer stands in a log, span, metric, notice or cost of all that its tests started. Else the run fails."""

import json
import os
import shutil
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from observability.redaction import concealed
from tests.support.canaries import COLLECTOR, FOLDER, Kind, saw
from tests.support.canary_search import Leak, leaks_below, marks_of

MOST = 20
"""More lines than this tell nothing more."""


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP and keeps the bytes as they came: protobuf holds text as it is."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock, self.received = folder, threading.Lock(), 0
        folder.mkdir()
        super().__init__(("127.0.0.1", 0), _Taker)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def end(self) -> None:
        self.shutdown()
        self.server_close()

    def keep(self, path: str, body: bytes) -> None:
        with self.lock, (self.folder / path.strip("/").replace("/", "-")).open("ab") as file:
            file.write(body + b"\n")
            self.received += 1


class _Taker(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.keep(self.path, self.rfile.read(int(self.headers.get("Content-Length", 0))))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return None


class CanaryRun:
    """In the process that ends last: without xdist the only one. Workers and what they start hand over what they saw in files."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="headrace-canaries-"))
        self.collector = Collector(self.folder / "otlp")
        self.leaks: list[Leak] = []
        self.told = ""
        os.environ[FOLDER], os.environ[COLLECTOR] = str(self.folder), self.collector.url

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What a test's own process wrote, by its logs too."""
        text = "".join(f"--- {name}\n{words}\n" for name, words in report.sections)
        if text:
            with (self.folder / "captured.log").open("a") as file:
                file.write(f"=== {report.nodeid} {report.when}\n{text}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.collector.end()
        seen = {tuple(json.loads(line)) for path in self.folder.glob("seen.*") for line in path.read_text().splitlines()}
        seen |= {("key", key) for key in concealed()}
        marks = marks_of(seen)
        below = [self.folder, session.config._tmp_path_factory.getbasetemp()]  # type: ignore[attr-defined]  # xdist takes it there, too
        self.leaks = [leak for folder in below for leak in leaks_below(folder, marks)]
        self.told = f"{len(marks)} marks looked for, {self.collector.received} messages of telemetry among all else"
        if not self.leaks:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self.leaks and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("canaries", red=bool(self.leaks), green=not self.leaks)
        terminalreporter.line(f"{self.told}; {len(self.leaks)} leaked")
        for leak in self.leaks[:MOST]:
            terminalreporter.line(f"LEAK {leak}", red=True)
        if self.leaks:
            terminalreporter.line(f"below {self.folder} or the run's temporary folder; tests/support/canary_search.py says what may stand where", red=True)


class CanaryWorker:
    """In a worker of xdist: the secrets that its tests expanded are known to it alone."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        kind: Kind = "key"
        for key in concealed():
            saw(kind, key)


def begin(config: pytest.Config) -> None:
    """Called once by each process of a run."""
    config.pluginmanager.register(CanaryWorker() if hasattr(config, "workerinput") else CanaryRun(), "canaries")
