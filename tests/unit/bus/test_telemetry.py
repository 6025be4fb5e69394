"""Names of spans are few, whatever subjects say, and what a subject says stands in attributes."""

from datetime import UTC, datetime, timedelta

import pytest

from bus.subjects import Subjects
from bus.telemetry import METADATA, request_facts
from contracts.origin import OriginV1

SUBJECTS = Subjects("ours")


@pytest.mark.parametrize(
    ("subject", "template"),
    [
        (SUBJECTS.request("acme", "chat"), "ours.v1.request.{tenant}.{kind}"),
        (SUBJECTS.request("acme", "chat", "bulk"), "ours.v1.request.{tenant}.{kind}.{lane}"),
        (SUBJECTS.call("fake", "bulk", "acme", "job-1", 3), "ours.v1.call.{provider}.{lane}.{tenant}.{request_id}.{n}"),
        (SUBJECTS.attempt("late", "bulk", "acme", "job-1", 3), "ours.v1.attempt.{outcome}.{lane}.{tenant}.{request_id}.{n}"),
        (SUBJECTS.settle("acme", "job-1"), "ours.v1.settle.{tenant}.{request_id}"),
        (SUBJECTS.dead("meter", None), "ours.v1.dead.{service}.{tenant}"),
        ("ours.v1.request.acme.chat.bulk.too.long", "ours.v1.request.{tenant}.{kind}.{lane}.>"),
        ("ours.v1.job-4711.acme", "ours.v1.{kind}.>"),
    ],
)
def test_a_template_says_what_kind_of_subject_it_is_and_nothing_of_the_one_request(subject: str, template: str) -> None:
    assert SUBJECTS.template(subject) == template


def test_a_subject_says_whose_message_it_is() -> None:
    said = SUBJECTS.said(SUBJECTS.call("fake", "bulk", "acme", "job-1", 3))
    assert said == {"provider": "fake", "lane": "bulk", "tenant": "acme", "request_id": "job-1", "n": "3"}


def test_what_nobody_consumes_is_no_hop() -> None:
    assert SUBJECTS.travels(SUBJECTS.call("fake", "bulk", "acme", "job-1", 3))
    assert not SUBJECTS.travels(SUBJECTS.begun("acme", "job-1", 3))
    assert not SUBJECTS.travels(SUBJECTS.lease("health"))
    assert not SUBJECTS.travels("$KV.CONFIG.headrace")


def test_only_the_metadata_that_is_meant_for_observers_is_told() -> None:
    now = datetime.now(UTC)
    metadata = {**dict.fromkeys(METADATA, "x"), "anything": "private"}
    times = {"requested_at": now, "deadline": now + timedelta(hours=1)}
    origin = OriginV1(request_id="a", tenant="acme", kind="chat", route=None, lane="bulk", metadata=metadata, request_seq=1, request_sha256="", **times)
    facts = request_facts(origin)
    assert {name for name in facts if name.startswith("headrace.metadata.")} == {
        f"headrace.metadata.{key}" for key in ("role", "swarm", "ticket", "user", "session", "feature", "environment", "cost_center")
    }
    assert "private" not in facts.values()
