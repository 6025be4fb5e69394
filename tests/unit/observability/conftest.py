"""Redaction as in a new process, and lines as a service writes them."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from observability import logs, redaction

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _nothing_concealed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_concealed", frozenset())
    monkeypatch.setattr(redaction, "_forms", ())
    redaction._innocent.clear()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Logs as `configure_logs` sets them up; what was written, each line parsed. An exporter of an earlier test may yet complain."""
    file, handlers, level = io.StringIO(), logging.root.handlers[:], logging.root.level
    monkeypatch.setattr(sys, "stderr", file)
    monkeypatch.setattr(logs, "_lines", None)
    for hook in ("sys.excepthook", "threading.excepthook"):
        monkeypatch.setattr(hook, sys.excepthook)
    logs.configure_logs("tried", "DEBUG")
    logs.log_everything()
    try:
        yield lambda: [line for line in map(json.loads, file.getvalue().splitlines()) if line["event"] != "telemetry_suffers"]
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
