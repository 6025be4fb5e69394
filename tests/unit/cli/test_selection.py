"""Which stored requests filters take."""

from datetime import UTC, datetime
from typing import Any

import pytest
import typer

from bus.requests import StoredRequest
from cli.selection import selection
from contracts.result import ResultV1

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def request(**document: Any) -> StoredRequest:
    return StoredRequest(7, "acme", "chat", "bulk", "job-1", document)


def result(**fields: Any) -> ResultV1:
    known = {"status": "succeeded", "provider": "own", "model": "org/qwen3", "route": "smart", "request_seq": 7}
    return ResultV1.model_validate({"request_id": "job-1", "tenant": "acme", "kind": "chat", "finished_at": NOW, **known, **fields})


@pytest.mark.parametrize("where", ["lane=bulk", "kind=chat", "route=smart", "provider=own", "model=org/qwen3", "model=own/org/qwen3", "metadata.team=a=b"])
def test_a_condition_that_holds_takes_the_request(where: str) -> None:
    assert selection(None, [where]).takes(request(metadata={"team": "a=b"}), result())
    assert not selection(None, [where + "x"]).takes(request(metadata={"team": "a=b"}), result())


def test_without_a_result_what_was_asked_for_counts() -> None:
    asked = request(model="own/org/qwen3", route="smart")
    assert selection("none", ["provider=own", "model=org/qwen3", "route=smart"]).takes(asked, None)
    assert not selection("succeeded,failed", []).takes(asked, None)


def test_all_conditions_must_hold() -> None:
    assert not selection(None, ["lane=bulk", "route=other"]).takes(request(), result())
    assert not selection("failed", ["lane=bulk"]).takes(request(), result())


def test_replays_and_requests_under_an_id_that_was_answered_before_are_left_out() -> None:
    everything = selection(None, [])
    assert everything.takes(request(replay_of=None), result())
    assert not everything.takes(request(replay_of="job-0"), result())
    assert not everything.takes(request(), result(request_seq=3))


@pytest.mark.parametrize(("status", "where"), [("suceeded", []), (None, ["lane"]), (None, ["colour=red"]), (None, ["metadata.=x"]), (None, ["metadata=x"])])
def test_a_filter_that_does_not_exist_is_refused(status: str | None, where: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        selection(status, where)
