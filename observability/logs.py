"""Structured logs: one JSON object a line on standard error, with trace and request ids."""

import logging
import sys
from typing import Any

import structlog

from observability.tracing import current_trace


def _with_trace(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    trace = current_trace()
    if trace is not None:
        event["trace_id"] = trace.trace_id
    return event


def configure_logs(service: str, level: str = "INFO") -> None:
    """Set up structlog for this process. Levels: DEBUG, INFO, WARNING, ERROR."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _with_trace,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
