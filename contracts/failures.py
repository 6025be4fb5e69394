"""What each failure means for the next step: ask again, ask elsewhere, distrust the provider."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from .outcome import FailureType


class FailureTraits(NamedTuple):
    """`max_calls` counts all calls to one candidate, the first included."""

    retryable: bool
    failover: bool
    trips_breaker: bool
    max_calls: int


FAILURES: Mapping[FailureType, FailureTraits] = MappingProxyType(
    {
        "rate_limited": FailureTraits(retryable=True, failover=True, trips_breaker=False, max_calls=3),
        "overloaded": FailureTraits(retryable=True, failover=True, trips_breaker=True, max_calls=3),
        "unavailable": FailureTraits(retryable=True, failover=True, trips_breaker=True, max_calls=3),
        "timeout": FailureTraits(retryable=True, failover=True, trips_breaker=True, max_calls=2),
        "truncated_stream": FailureTraits(retryable=True, failover=True, trips_breaker=True, max_calls=2),
        "outcome_unknown": FailureTraits(retryable=True, failover=True, trips_breaker=False, max_calls=2),
        "quota_exhausted": FailureTraits(retryable=False, failover=True, trips_breaker=True, max_calls=1),
        "auth": FailureTraits(retryable=False, failover=True, trips_breaker=True, max_calls=1),
        "context_too_long": FailureTraits(retryable=False, failover=True, trips_breaker=False, max_calls=1),
        "invalid_request": FailureTraits(retryable=False, failover=False, trips_breaker=False, max_calls=1),
        "content_filtered": FailureTraits(retryable=False, failover=False, trips_breaker=False, max_calls=1),
        "expired": FailureTraits(retryable=False, failover=False, trips_breaker=False, max_calls=1),
        "cancelled": FailureTraits(retryable=False, failover=False, trips_breaker=False, max_calls=1),
    }
)
