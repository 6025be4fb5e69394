"""What a dial leaves in the metrics, however it ends."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from bus.configuration import load
from contracts.call import CallV1
from contracts.outcome import UsageV1
from observability import metrics
from observability.labels import known
from services.adapters.measuring import measured
from services.adapters.protocol import Answer, Failure
from tests.support.metrics import recording_metrics

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).isoformat()
SHA = "0" * 64
ORIGIN: dict[str, object] = {
    "request_id": "job-1",
    "tenant": "acme",
    "kind": "chat",
    "route": None,
    "lane": "bulk",
    "metadata": {},
    "request_seq": 1,
    "request_sha256": SHA,
}
CONFIG = '{"version": 2, "providers": [{"id": "fake", "type": "openai", "base_url": "http://127.0.0.1:9/v1", "models": [{"id": "small"}]}]}'


@pytest.fixture(autouse=True)
def _recorded() -> Iterator[None]:
    known.take(load(CONFIG))
    with recording_metrics():
        yield


def call(model: str = "small", **asked: object) -> CallV1:
    body = {"n": 1, "provider": "fake", "model": model, "origin": {**ORIGIN, "requested_at": NOW, "deadline": NOW}, "slip": {"candidates": []}}
    return CallV1.model_validate({**body, **(asked or {"chat": {"messages": [{"role": "user", "content": "q"}]}})})


def dialled(one: CallV1, outcome: Answer | Failure) -> None:
    async def answer() -> Answer | Failure:
        assert metrics.CALLS_IN_FLIGHT.points() == {("fake", "bulk"): 1}, "it is under way"
        return outcome

    assert asyncio.run(measured(one, "openai", answer())) is outcome


def test_an_answer_leaves_its_duration_and_tokens() -> None:
    dialled(call(), Answer(usage=UsageV1(input_tokens=12, output_tokens=3)))
    [(labels, cell)] = metrics.OPERATION_DURATION.cells().items()
    assert labels == ("chat", "openai", "small", "fake", None) and sum(cell.counts) == 1
    assert {labels[-1]: cell.sum for labels, cell in metrics.TOKEN_USAGE.cells().items()} == {"input": 12, "output": 3}
    assert metrics.CALLS_IN_FLIGHT.points() == {("fake", "bulk"): 0}


def test_a_failure_names_its_type_and_tokens_that_nobody_knows_are_not_recorded() -> None:
    dialled(call(), Failure("rate_limited", "slow down"))
    assert list(metrics.OPERATION_DURATION.cells()) == [("chat", "openai", "small", "fake", "rate_limited")]
    assert not metrics.TOKEN_USAGE.cells()


def test_embeddings_are_an_operation_of_their_own_and_an_unknown_model_is_an_underscore() -> None:
    dialled(call("no-such-model", embed={"input": ["one"]}), Answer(usage=UsageV1(input_tokens=2)))
    assert list(metrics.OPERATION_DURATION.cells()) == [("embeddings", "openai", "_", "fake", None)]


def test_a_dial_that_is_broken_off_is_no_longer_in_flight() -> None:
    async def run() -> None:
        task = asyncio.create_task(measured(call(), "openai", asyncio.sleep(60)))  # type: ignore[arg-type]  # it never answers
        await asyncio.sleep(0.01)
        assert metrics.CALLS_IN_FLIGHT.points() == {("fake", "bulk"): 1}
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert metrics.CALLS_IN_FLIGHT.points() == {("fake", "bulk"): 0}
