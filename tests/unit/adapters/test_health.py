"""What a check of a free endpoint says of a provider's health."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.config import ProviderV1
from contracts.outcome import FailureType
from services.adapters.endpoints import Endpoints, digest, endpoints_of
from services.adapters.health import Finding, Standing, after, finding, limit_s, pause_s
from services.adapters.protocol import Failure, Looked

OK, FAILED, REFUSED, DOUBTFUL = Finding("ok"), Finding("failed", "gone"), Finding("refused", "no", "auth"), Finding("doubtful", "hm")


def states(*found: Finding) -> list[str]:
    stands: Standing | None = None
    told: list[str] = []
    for one in found:
        stands = after(stands, one)
        told.append(stands.state)
    return told


def test_one_failed_check_degrades_two_in_a_row_make_unhealthy_and_one_success_heals() -> None:
    assert states(OK, FAILED, FAILED, FAILED, OK, FAILED, OK, FAILED) == [
        "healthy",
        "degraded",
        "unhealthy",
        "unhealthy",
        "healthy",
        "degraded",
        "healthy",
        "degraded",
    ]


def test_a_refused_credential_is_unhealthy_at_once_and_named() -> None:
    assert states(REFUSED) == ["unhealthy"]
    assert after(None, REFUSED) == Standing("unhealthy", 1, "no", "auth")


def test_a_server_that_answers_otherwise_than_asked_is_degraded_however_often() -> None:
    assert states(DOUBTFUL, DOUBTFUL, DOUBTFUL, FAILED, FAILED) == ["degraded", "degraded", "degraded", "degraded", "unhealthy"]


@given(st.lists(st.sampled_from([OK, FAILED, REFUSED, DOUBTFUL]), min_size=1))
def test_unhealthy_needs_a_refusal_or_two_failures_in_a_row(found: list[Finding]) -> None:
    last = [one.kind for one in found[-2:]]
    assert (states(*found)[-1] == "unhealthy") == (last[-1] == "refused" or (last[-1] == "failed" and last[:-1] in (["failed"], ["refused"])))


@given(st.floats(20, 3600), st.floats(-1, 1), st.floats(-1, 1))
def test_a_provider_that_hangs_is_unhealthy_within_two_intervals(interval_s: float, one: float, other: float) -> None:
    first_ends = pause_s(Standing("healthy"), interval_s, one) + limit_s(interval_s)
    second_begins = max(first_ends, first_ends - limit_s(interval_s) + pause_s(Standing("degraded", 1), interval_s, other))
    assert second_begins + limit_s(interval_s) <= 2 * interval_s


@pytest.mark.parametrize("stands", [Standing("healthy"), Standing("unhealthy", 2), Standing("unhealthy", 1, "no", "auth"), Standing("degraded", 0, "HTTP 404")])
def test_checks_are_an_interval_apart_give_or_take_a_fifth(stands: Standing) -> None:
    assert [pause_s(stands, 30, jitter) for jitter in (-1, 0, 1)] == [24, 30, 36]


@pytest.mark.parametrize(
    ("status", "type_name", "kind"),
    [
        (401, "auth", "refused"),
        (400, "auth", "refused"),
        (407, "invalid_request", "refused"),
        (403, "auth", "doubtful"),
        (404, "invalid_request", "doubtful"),
        (429, "rate_limited", "doubtful"),
        (500, "unavailable", "failed"),
        (503, "overloaded", "failed"),
        (302, "unavailable", "failed"),
        (None, "unavailable", "failed"),
        (None, "timeout", "failed"),
        (None, "auth", "failed"),
    ],
)
def test_what_an_answer_means(status: int | None, type_name: FailureType, kind: str) -> None:
    found = finding(Looked(status, failure=Failure(type_name, "said so")))
    assert found.kind == kind
    assert found.why is not None
    assert "said so" in found.why


def provider(type_name: str, **fields: object) -> ProviderV1:
    return ProviderV1.model_validate({"id": "p", "type": type_name, "models": [{"id": "m"}], **fields})


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (provider("openai"), Endpoints("/models", "/models")),
        (provider("ollama"), Endpoints("host:/api/tags", "/models")),
        (provider("vllm"), Endpoints("host:/health", "/models")),
        (provider("openrouter"), Endpoints("/key", "/models")),
        (provider("azure", options={"resource": "r"}), Endpoints("/openai/models?api-version=2024-10-21", None)),
        (provider("azure", options={"resource": "r", "api_version": "${V}"}), Endpoints("/openai/models?api-version=2025-01-01", None)),
        (provider("bedrock"), Endpoints()),
        (provider("perplexity"), Endpoints()),
        (provider("vertex", options={"project": "x"}), Endpoints("/publishers/google/models?pageSize=1", "/publishers/google/models?pageSize=100")),
        (provider("vertex", api_key="${K}"), Endpoints()),
    ],
)
def test_each_kind_has_its_free_endpoints(entry: ProviderV1, expected: Endpoints) -> None:
    assert endpoints_of(entry, {"V": "2025-01-01", "K": "k"}) == expected


def test_a_listing_belongs_to_the_entry_that_decides_what_is_listed() -> None:
    same = [provider("openai"), provider("openai", max_in_flight=3), provider("openai", models=[{"id": "other"}])]
    others = [provider("openai", base_url="http://x"), provider("openai", api_key="${K}"), provider("openai", headers={"A": "b"}), provider("xai")]
    assert {digest(entry) for entry in same} == {digest(same[0])}
    assert len({digest(entry) for entry in (same[0], *others)}) == 5
