"""What a replay sends, and under which id."""

import pytest

from bus.connection import Bus
from bus.replay import Changes, NotReplayable, anew
from bus.requests import StoredRequest

CHAT = StoredRequest(7, "acme", "chat", "bulk", "job-1", {"id": "job-1", "messages": [{"role": "user", "content": "Hi"}], "route": "smart", "timeout_s": 9})
EMBED = StoredRequest(8, "acme", "embed", "standard", "job-2", {"input": ["Hi"]})
SCHEMA = {"type": "object"}


def test_the_id_tells_tenant_request_and_every_change_apart_and_is_the_same_each_time() -> None:
    changes = [Changes(), Changes(route="a"), Changes(model="a"), Changes(json_schema=SCHEMA), Changes(route="a", json_schema=SCHEMA)]
    ids = [change.replay_id(tenant, original) for change in changes for tenant in ("acme", "beta") for original in ("job-1", "job-2")]
    assert len(set(ids)) == len(ids)
    assert ids == [change.replay_id(tenant, original) for change in changes for tenant in ("acme", "beta") for original in ("job-1", "job-2")]
    assert Changes(model="a").replay_id("acme", "job-1") == "replay-9c446b5ec0d90aaeb4eed3c7e5def8ea"


def test_a_model_forgets_the_route_and_a_schema_leaves_it() -> None:
    by_model, by_schema = Changes(model="own/qwen3").applied(CHAT), Changes(json_schema=SCHEMA).applied(CHAT)
    assert (by_model["route"], by_model["model"], by_model["replay_of"]) == (None, "own/qwen3", "job-1")
    assert (by_schema["route"], by_schema["output"], "model" in by_schema) == ("smart", {"json_schema": SCHEMA}, False)


def test_only_an_absolute_deadline_is_left_out() -> None:
    document = Changes(route="small").applied(StoredRequest(7, "acme", "chat", "bulk", "job-1", {**CHAT.document, "deadline": "2026-12-01T12:00:00Z"}))
    assert ("deadline" in document, document["timeout_s"], document["messages"]) == (False, 9, CHAT.document["messages"])


def test_a_replay_keeps_its_lane_and_the_same_bytes_each_time() -> None:
    bus = Bus()
    first, second = anew(bus, CHAT, Changes(model="own/qwen3")), anew(bus, CHAT, Changes(model="own/qwen3"))
    assert (first.subject, first.body) == ("llm.v1.request.acme.chat.bulk", second.body)


def test_an_output_schema_cannot_be_asked_of_embeddings() -> None:
    with pytest.raises(NotReplayable, match="job-2"):
        anew(Bus(), EMBED, Changes(json_schema=SCHEMA))
