"""Structured logs: one JSON object a line on standard error, with trace and request ids, without secrets and without what an exception quotes."""

import asyncio
import logging
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

import structlog
from pydantic_core import to_json

from observability.faults import told
from observability.redaction import suspicious, without_secrets
from observability.tracing import current_trace

FLUSH_S = 0.1
"""A line below WARNING waits at most this long for others, so that a busy process writes many at once."""
FLUSH_BYTES = 1 << 16


class Lines:
    """Gathers lines and writes them together; a warning, an error and whatever has no running loop at once."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._waiting: list[str] = []
        self._size = 0
        self._flush: asyncio.TimerHandle | None = None

    def write(self, line: str, *, now: bool) -> None:
        self._waiting.append(line)
        self._size += len(line)
        if now or self._size >= FLUSH_BYTES:
            self.flush()
        elif self._flush is None:
            try:
                self._flush = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
            except RuntimeError:
                self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._waiting:
            text = "\n".join(self._waiting) + "\n"
            self._waiting, self._size = [], 0
            self._file.write(text)
            self._file.flush()


class Logger:
    """What structlog hands each rendered line to, by level."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def msg(self, line: str) -> None:
        self._lines.write(line, now=False)

    def urgent(self, line: str) -> None:
        self._lines.write(line, now=True)

    debug = info = msg
    warning = error = critical = exception = fatal = failure = urgent


_lines: Lines | None = None


def flush_logs() -> None:
    """Write what waits: before a process ends."""
    if _lines is not None:
        _lines.flush()


def configure_logs(service: str, level: str = "INFO") -> None:
    """Set up structlog for this process. Levels: DEBUG, INFO, WARNING, ERROR."""
    global _lines
    _lines = Lines(sys.stderr)
    logger = Logger(_lines)

    def render(_: Any, method: str, event: structlog.typing.EventDict) -> str:
        secret = suspicious(event)
        line: dict[str, Any] = {"time": datetime.now(UTC).isoformat(), "level": method, "service": service, **event}
        trace = current_trace()
        if trace is not None:
            line["trace_id"] = trace.trace_id
            if not trace.begun_here:
                line["span_id"] = trace.span_id
        rendered = to_json(line, fallback=repr).decode()
        return without_secrets(rendered) if secret else rendered

    structlog.configure(
        processors=[_with_exception, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: logger,
        cache_logger_on_first_use=True,
    )


def log_everything() -> None:
    """What libraries log, and what ends this process or a thread, becomes lines like all others."""
    logging.basicConfig(handlers=[Libraries(logging.WARNING)], level=logging.WARNING, force=True)
    sys.excepthook = _crashed
    threading.excepthook = lambda crash: _crashed(crash.exc_type, crash.exc_value, crash.exc_traceback)


class Libraries(logging.Handler):
    """Lines of libraries. Only the first line of what they say: asyncio adds the exception with all that it quotes."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        log = structlog.get_logger()
        tell = log.error if record.levelno >= logging.ERROR else log.warning
        tell("library", logger=record.name, message=record.getMessage().partition("\n")[0], **({} if error is None else {"exc_info": error}))


def _crashed(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is None or issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error or kind(), trace)
        return
    structlog.get_logger().critical("crashed", exc_info=error)
    flush_logs()


def _with_exception(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The traceback as text, where one is asked for."""
    if "exc_info" in event:
        given = event.pop("exc_info")
        error = given if isinstance(given, BaseException) else sys.exc_info()[1]
        if given and error is not None:
            event["exception"] = told(error)
    return event
