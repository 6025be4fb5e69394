"""What every test finds: OpenTelemetry's globals as new."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.util._once import Once


@pytest.fixture(autouse=True)
def _fresh_telemetry() -> Iterator[None]:
    """The tracer provider may be set once a process; each test may set its own."""
    yield
    trace._TRACER_PROVIDER = None
    trace._TRACER_PROVIDER_SET_ONCE = Once()
