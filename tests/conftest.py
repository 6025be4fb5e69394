"""What every test finds: OpenTelemetry's globals as new, and a PostgreSQL where it asks for one. What all of them together must not let out."""

import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings
from opentelemetry import trace
from opentelemetry.util._once import Once
from structlog._config import BoundLoggerLazyProxy

from observability import tracing
from tests.support import canary_run
from tests.support.postgres import Absent, Postgres

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault of the code
settings.load_profile("busy")


def pytest_configure(config: pytest.Config) -> None:
    canary_run.begin(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: processes that share the files then end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _fresh_telemetry() -> Iterator[None]:
    """The tracer provider may be set once a process; each test may set its own. A trace that one test entered is not the next one's."""
    yield
    tracing._current.set(None)
    trace._TRACER_PROVIDER = None
    trace._TRACER_PROVIDER_SET_ONCE = Once()
    if structlog.is_configured():
        _forget_loggers()


def _forget_loggers() -> None:
    """A logger that was used keeps the level and the file of then; a later test must not write there."""
    structlog.reset_defaults()
    for module in list(sys.modules.values()):
        log = getattr(module, "__dict__", {}).get("log")
        if isinstance(log, BoundLoggerLazyProxy):
            vars(log).pop("bind", None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests of a run; it need not survive a power failure."""
    try:
        server = Postgres("fsync=off")
    except Absent as absent:
        pytest.skip(str(absent))
    try:
        server.start()
        yield server
    finally:
        server.remove()
