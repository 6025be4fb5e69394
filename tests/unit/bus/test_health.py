"""Health as a reader sees it: only what is fresh and unhealthy speaks against a provider."""

from datetime import UTC, datetime, timedelta

import pytest

from bus.connection import Bus
from bus.health import HealthSource
from contracts.health import HealthState, ProviderHealthV1


def source(state: HealthState, age_s: float, why: str | None = "gone") -> HealthSource:
    followed = HealthSource(Bus())
    checked_at = datetime.now(UTC) - timedelta(seconds=age_s)
    followed.states = {"p": ProviderHealthV1(provider="p", state=state, why=why, checked_at=checked_at, valid_s=90)}
    return followed


@pytest.mark.parametrize(
    ("state", "age_s", "why"), [("unhealthy", 0, "gone"), ("unhealthy", 85, "gone"), ("unhealthy", 95, None), ("degraded", 0, None), ("healthy", 0, None)]
)
def test_only_a_fresh_unhealthy_state_speaks_against_a_provider(state: HealthState, age_s: float, why: str | None) -> None:
    assert source(state, age_s).ailing("p") == why


def test_a_reason_that_nobody_gave_is_put_into_words() -> None:
    assert source("unhealthy", 0, None).ailing("p") == "its checks fail"


def test_a_provider_that_nobody_checked_is_not_ill() -> None:
    assert source("unhealthy", 0).ailing("other") is None
