"""Intake: whatever bytes come, an accepted request, a refusal by name, or an undecodable body follows."""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.request import DEFAULT_TIMEOUT_S, KINDS, LANES
from services.router.intake import Accepted, Refused, Undecodable, envelope, read

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SEQ = 42
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
EMBED: dict[str, Any] = {"input": ["hi"]}


def judged(body: bytes, tokens: str = "request.acme.chat", headers: dict[str, str] | None = None) -> Accepted | Refused:
    return read(body, envelope(body, tokens.split("."), headers or {}, SEQ, NOW, None))


def taken(document: Any, tokens: str = "request.acme.chat", headers: dict[str, str] | None = None) -> Accepted:
    outcome = judged(json.dumps(document).encode(), tokens, headers)
    assert isinstance(outcome, Accepted), outcome
    return outcome


def refused(document: Any, tokens: str = "request.acme.chat", headers: dict[str, str] | None = None) -> Refused:
    outcome = judged(json.dumps(document).encode(), tokens, headers)
    assert isinstance(outcome, Refused), outcome
    return outcome


# Whatever comes

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4), max_leaves=12)
FIELDS = sorted({field for model in KINDS.values() for field in model.model_fields})
ALMOST = st.fixed_dictionaries(
    {"messages": st.just(CHAT["messages"]) | JSON},
    optional={field: JSON | st.text(max_size=70) for field in FIELDS if field != "messages"},
)
SUBJECTS = st.sampled_from(["request.acme.chat", "request.acme.embed.bulk", "request.acme.chat.express", "request.acme.think", "request.acme.chat.bulk.more"])
CONTENT_TYPES = st.sampled_from(["application/json", "application/cloudevents+json"])
HEADERS = st.fixed_dictionaries({}, optional={"Content-Type": CONTENT_TYPES}) | st.dictionaries(
    st.sampled_from(["Nats-Msg-Id", "ce-id", "ce-source", "ce-specversion", "ce-type", "Content-Type", "traceparent"]),
    st.text(max_size=70) | st.sampled_from(["1.0", "application/cloudevents+json", "%ff"]),
    max_size=5,
)


def ends_in_a_result(outcome: Accepted | Refused) -> None:
    """What a result needs: a usable id, and text that UTF-8 can hold."""
    origin = outcome.origin
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", origin.request_id)
    assert origin.tenant == "acme"
    assert origin.model_dump_json()
    if isinstance(outcome, Refused):
        assert outcome.error.message
        assert outcome.error.model_dump_json()


@given(st.binary(max_size=200), SUBJECTS, HEADERS)
def test_no_bytes_raise_anything_but_undecodable(body: bytes, tokens: str, headers: dict[str, str]) -> None:
    try:
        ends_in_a_result(judged(body, tokens, headers))
    except Undecodable as error:
        assert str(error)


@given(JSON | ALMOST, SUBJECTS, HEADERS)
def test_any_json_under_a_valid_tenant_ends_accepted_or_refused(document: Any, tokens: str, headers: dict[str, str]) -> None:
    ends_in_a_result(judged(json.dumps(document).encode(), tokens, headers))


@pytest.mark.parametrize(
    "text",
    [
        '{"id": "\\ud800", "messages": []}',
        '{"messages": [{"role": "user", "content": "\\ud800"}]}',
        '{"surprise\\ud800": 1}',
        '{"metadata": {"\\udfff": "x"}, "route": "\\ud800"}',
        "[" * 5000 + "]" * 5000,
        '{"messages": ' + "[" * 300 + "]" * 300 + "}",
        "{}",
        "null",
        "NaN",
        '{"timeout_s": 1e999, "messages": [{"role": "user", "content": "hi"}]}',
        '{"max_cost_usd": "1e999999999", "messages": [{"role": "user", "content": "hi"}]}',
        '{"deadline": "9999-12-31T23:59:59Z", "messages": [{"role": "user", "content": "hi"}]}',
        '{"deadline": "0001-01-01T00:00:00+14:00", "messages": [{"role": "user", "content": "hi"}]}',
        '{"sampling": {"seed": ' + "9" * 5000 + '}, "messages": [{"role": "user", "content": "hi"}]}',
        '{"metadata": {"' + "k" * 300 + '": "v"}, "messages": []}',
    ],
)
def test_hostile_json_ends_accepted_or_refused(text: str) -> None:
    ends_in_a_result(judged(text.encode()))


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"not JSON", b'{"messages": ', b'{"a": "\xff"}'])
def test_what_is_not_json_is_undecodable(body: bytes) -> None:
    with pytest.raises(Undecodable):
        judged(body)


@pytest.mark.parametrize("tokens", ["request.Acme.chat", "request.a b.chat", "request.acme", "request", "request..chat", f"request.{'a' * 33}.chat"])
def test_a_bad_tenant_token_is_undecodable(tokens: str) -> None:
    with pytest.raises(Undecodable):
        judged(json.dumps(CHAT).encode(), tokens)


# The least that is asked


def test_messages_alone_make_a_request() -> None:
    origin = taken(CHAT).origin
    assert (origin.request_id, origin.lane, origin.kind, origin.tenant) == (f"seq-{SEQ}", "standard", "chat", "acme")
    assert origin.requested_at == NOW


def test_the_hash_is_of_the_bytes_as_they_were_stored() -> None:
    body = b'  {"messages":[{"role":"user","content":"hi"}]}\n'
    outcome = judged(body)
    assert outcome.origin.request_sha256 == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({**CHAT, "mesages": []}, "mesages"),
        ({**CHAT, "sampling": {"temprature": 1}}, "sampling.temprature"),
        ({"messages": [{"role": "user", "content": "hi", "parts": []}]}, "messages.0"),
        ({"messages": []}, "messages"),
        ({**CHAT, "output": {"json_schema": {"type": "strng"}}}, "output.json_schema"),
        ({**CHAT, "tools": [{"name": "f", "parameters": {"type": 3}}]}, "tools.0.parameters"),
        ({**CHAT, "max_cost_usd": "-1"}, "max_cost_usd"),
        ({**CHAT, "deadline": "2026-11-21T13:00:00"}, "deadline"),
        ({**CHAT, "deadline": 1795262400}, "deadline"),
    ],
)
def test_a_refusal_names_the_field(document: dict[str, Any], field: str) -> None:
    error = refused(document).error
    assert (error.type, error.field) == ("invalid_request", field)


def test_an_unknown_kind_is_not_supported() -> None:
    error = refused(CHAT, "request.acme.think").error
    assert (error.type, error.field) == ("not_supported", "kind")


# Ids


@pytest.mark.parametrize(
    ("document", "headers", "request_id"),
    [
        ({"id": "body-1"}, {"Nats-Msg-Id": "header-1", "ce-id": "e-1"}, "body-1"),
        ({}, {"Nats-Msg-Id": "header-1", "ce-id": "e-1"}, "header-1"),
        ({"id": None}, {"Nats-Msg-Id": "header-1"}, "header-1"),
        ({}, {"ce-id": "e-1", "ce-source": "/shop"}, "ce-" + hashlib.sha256(b"/shop\ne-1").hexdigest()[:32]),
        ({}, {}, f"seq-{SEQ}"),
    ],
)
def test_the_id_is_the_bodys_else_the_headers_else_the_events_else_the_sequence(document: dict[str, Any], headers: dict[str, str], request_id: str) -> None:
    assert taken({**CHAT, **document}, headers=headers).origin.request_id == request_id


def test_two_sources_may_use_the_same_event_id() -> None:
    ids = {taken(CHAT, headers={"ce-id": "1", "ce-source": source}).origin.request_id for source in ("/a", "/b")}
    assert len(ids) == 2


@pytest.mark.parametrize("given_id", ["a b", 17, "", "x" * 65, "seq-7", ["a"], "a.b", "a\n"])
def test_an_id_that_cannot_be_used_is_refused_under_the_sequence(given_id: Any) -> None:
    outcome = refused({**CHAT, "id": given_id})
    assert (outcome.origin.request_id, outcome.error.field) == (f"seq-{SEQ}", "id")


@pytest.mark.parametrize("header", ["a b", "seq-7", "x" * 65])
def test_a_header_id_that_cannot_be_used_is_refused_under_the_sequence(header: str) -> None:
    outcome = refused(CHAT, headers={"Nats-Msg-Id": header})
    assert (outcome.origin.request_id, outcome.error.field) == (f"seq-{SEQ}", "id")


def test_a_refusal_stands_under_the_requests_own_id_with_its_metadata() -> None:
    origin = refused({**CHAT, "id": "job-1", "metadata": {"ticket": "T-1"}, "surprise": 1}).origin
    assert (origin.request_id, origin.metadata) == ("job-1", {"ticket": "T-1"})


# Tenant and lane


def test_a_body_that_names_another_tenant_is_refused() -> None:
    assert refused({**CHAT, "tenant": "globex"}).error.field == "tenant"
    assert taken({**CHAT, "tenant": "acme"}).origin.tenant == "acme"


@pytest.mark.parametrize(
    ("token", "body", "lane"), [(None, None, "standard"), (None, "bulk", "bulk"), ("interactive", None, "interactive"), ("bulk", "bulk", "bulk")]
)
def test_the_lane_is_the_subjects_else_the_bodys_else_standard(token: str | None, body: str | None, lane: str) -> None:
    assert taken({**CHAT, "lane": body}, f"request.acme.chat.{token}" if token else "request.acme.chat").origin.lane == lane


@pytest.mark.parametrize("tokens", ["request.acme.chat.express", "request.acme.chat.bulk.more", "request.acme.chat.interactive"])
def test_a_lane_that_is_unknown_or_contradicts_the_body_is_refused(tokens: str) -> None:
    assert refused({**CHAT, "lane": "bulk"}, tokens).error.field == "lane"


@pytest.mark.parametrize("tokens", ["request.acme.chat.batch", "request.acme.chat"])
def test_the_batch_lane_is_not_supported_yet(tokens: str) -> None:
    error = refused({**CHAT, "lane": "batch"}, tokens).error
    assert (error.type, error.field) == ("not_supported", "lane")


# Deadlines


@pytest.mark.parametrize("lane", [lane for lane in LANES if lane != "batch"])
def test_without_a_deadline_the_lane_has_one(lane: str) -> None:
    assert taken(CHAT, f"request.acme.chat.{lane}").origin.deadline == NOW + timedelta(seconds=DEFAULT_TIMEOUT_S[lane])


@pytest.mark.parametrize(("timeout_s", "deadline_s"), [(60, 600), (600, 60)])
def test_the_earlier_of_timeout_and_deadline_wins(timeout_s: float, deadline_s: float) -> None:
    deadline = (NOW + timedelta(seconds=deadline_s)).isoformat()
    assert taken({**CHAT, "timeout_s": timeout_s, "deadline": deadline}).origin.deadline == NOW + timedelta(seconds=60)


def test_a_timeout_counts_from_the_moment_of_storage() -> None:
    assert taken({**CHAT, "timeout_s": 1.5}).origin.deadline == NOW + timedelta(seconds=1.5)


def test_a_deadline_of_just_a_day_is_accepted() -> None:
    assert taken({**CHAT, "deadline": (NOW + timedelta(days=1)).isoformat()}).origin.deadline == NOW + timedelta(days=1)


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"deadline": (NOW + timedelta(days=1, seconds=1)).isoformat()}, "deadline"), ({"timeout_s": 86401}, "timeout_s"), ({"timeout_s": 1e300}, "timeout_s")],
)
def test_a_deadline_beyond_a_day_is_refused(fields: dict[str, Any], field: str) -> None:
    error = refused({**CHAT, **fields}).error
    assert (error.type, error.field) == ("invalid_request", field)


def test_a_deadline_that_has_passed_is_for_the_router_to_expire() -> None:
    assert taken({**CHAT, "deadline": "2020-01-01T00:00:00Z"}).origin.deadline.year == 2020


# Schemas


@pytest.mark.parametrize("reference", ["https://example.com/schema.json", "file:///etc/passwd", "other.json", "urn:x:y"])
@pytest.mark.parametrize("place", ["output", "tools"])
def test_a_schema_that_refers_out_of_itself_is_refused_and_nothing_is_fetched(reference: str, place: str) -> None:
    schema = {"type": "object", "properties": {"x": {"$ref": reference}}}
    fields: dict[str, Any] = {"output": {"json_schema": schema}} if place == "output" else {"tools": [{"name": "f", "parameters": schema}]}
    error = refused({**CHAT, **fields}).error
    assert error.type == "invalid_request"
    assert error.field is not None
    assert error.field.startswith(place)


def test_a_schema_that_refers_to_itself_is_accepted() -> None:
    schema = {"$ref": "#/$defs/Node", "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}}}
    assert taken({**CHAT, "output": {"json_schema": schema}}).origin.output is not None


# CloudEvents


EVENT: dict[str, Any] = {"specversion": "1.0", "id": "e-1", "source": "/shop", "type": "headrace.request.v1"}
STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
BINARY = {f"ce-{name}": value for name, value in EVENT.items()}
EVENT_ID = "ce-" + hashlib.sha256(b"/shop\ne-1").hexdigest()[:32]
CHAT_BASE64 = base64.b64encode(json.dumps(CHAT).encode()).decode()


def test_a_structured_cloud_event_carries_the_request_as_its_data() -> None:
    assert taken({**EVENT, "data": {**CHAT, "id": "job-1"}}, headers=STRUCTURED).origin.request_id == "job-1"


@pytest.mark.parametrize("name", ["Content-Type", "content-type", "CONTENT-TYPE"])
@pytest.mark.parametrize("media_type", ["application/cloudevents+json", "Application/CloudEvents+JSON; charset=UTF-8"])
def test_a_structured_cloud_event_is_known_by_its_media_type_however_it_is_spelt(name: str, media_type: str) -> None:
    assert taken({**EVENT, "data": CHAT}, headers={name: media_type}).origin.request_id == EVENT_ID


def test_the_same_event_has_the_same_id_in_either_mode() -> None:
    assert taken({**EVENT, "data": CHAT}, headers=STRUCTURED).origin.request_id == EVENT_ID
    assert taken(CHAT, headers=BINARY).origin.request_id == EVENT_ID


def test_an_event_id_in_a_header_is_percent_decoded_once_and_unquoted() -> None:
    ids = {taken(CHAT, headers={**BINARY, "ce-id": spelt}).origin.request_id for spelt in ("a%20%E2%82%AC%2541", '"a %e2%82%ac%2541"')}
    assert ids == {taken({**EVENT, "id": "a €%41", "data": CHAT}, headers=STRUCTURED).origin.request_id}


def test_the_data_of_an_event_may_be_base64() -> None:
    assert taken({**EVENT, "data_base64": CHAT_BASE64}, headers=STRUCTURED).origin.request_id == EVENT_ID


def test_attributes_that_nobody_knows_are_ignored() -> None:
    taken({**EVENT, "data": CHAT, "partitionkey": "x", "sampledrate": 30, "subject": "s", "dataschema": "urn:x"}, headers=STRUCTURED)
    taken(CHAT, headers={**BINARY, "ce-partitionkey": "x", "CE-Surprise": "y"})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": None}, "specversion"),
        ({"specversion": 1.0}, "specversion"),
        ({"source": ""}, "source"),
        ({"type": None}, "type"),
        ({"datacontenttype": "application/xml"}, "datacontenttype"),
        ({"datacontenttype": "text/json-not"}, "datacontenttype"),
        ({"data_base64": CHAT_BASE64}, "data_base64"),
        ({"data": ..., "data_base64": "%%%"}, "data_base64"),
        ({"data": ..., "data_base64": "é"}, "data_base64"),
        ({"data": ..., "data_base64": 7}, "data_base64"),
        ({"data": ..., "data_base64": base64.b64encode(b"<xml/>").decode()}, "data_base64"),
        ({"data": ...}, "data"),
    ],
)
def test_an_event_that_breaks_its_format_is_refused_by_the_attributes_name(changes: dict[str, Any], field: str) -> None:
    event = {name: value for name, value in {**EVENT, "data": CHAT, **changes}.items() if value is not ...}
    outcome = refused(event, headers=STRUCTURED)
    assert (outcome.error.type, outcome.error.field) == ("invalid_request", field)
    assert outcome.origin.request_id == (EVENT_ID if changes.get("source") != "" else "ce-" + hashlib.sha256(b"\ne-1").hexdigest()[:32])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ce-specversion": "2.0"}, "ce-specversion"),
        ({"ce-source": ""}, "ce-source"),
        ({"ce-type": ""}, "ce-type"),
        ({"ce-datacontenttype": "text/plain"}, "ce-datacontenttype"),
        ({"Content-Type": "application/octet-stream"}, "ce-datacontenttype"),
        ({"ce-subject": "%C0%A0"}, "ce-subject"),
    ],
)
def test_a_binary_event_that_breaks_its_format_is_refused_under_the_requests_id(changes: dict[str, str], field: str) -> None:
    outcome = refused({**CHAT, "id": "job-1"}, headers={**BINARY, **changes})
    assert (outcome.error.type, outcome.error.field, outcome.origin.request_id) == ("invalid_request", field, "job-1")


def test_an_event_of_another_content_type_is_refused_though_its_body_is_not_json() -> None:
    outcome = judged(b"<request/>", headers={**BINARY, "ce-datacontenttype": "application/xml"})
    assert isinstance(outcome, Refused)
    assert (outcome.origin.request_id, outcome.error.field) == (EVENT_ID, "ce-datacontenttype")


@pytest.mark.parametrize("media_type", ["application/json", "application/vnd.shop+json", "text/json; charset=utf-8"])
def test_any_json_media_type_will_do(media_type: str) -> None:
    taken({**EVENT, "datacontenttype": media_type, "data": CHAT}, headers=STRUCTURED)
    taken(CHAT, headers={**BINARY, "ce-datacontenttype": media_type, "Content-Type": media_type})


@pytest.mark.parametrize("media_type", ["application/cloudevents-batch+json", "application/cloudevents+avro", "application/cloudevents"])
def test_batches_and_other_event_formats_are_not_supported(media_type: str) -> None:
    error = refused([{**EVENT, "data": CHAT}], headers={"Content-Type": media_type}).error
    assert (error.type, error.field) == ("not_supported", "content-type")


def test_a_media_type_without_an_event_is_nobodys_business() -> None:
    taken(CHAT, headers={"Content-Type": "text/plain"})


@pytest.mark.parametrize(
    "data", ['{"messages": [{"role": "user", "content": "\\ud800"}]}', "[]", "null", '"text"', '{"input": ["hi"], "seed": ' + "9" * 5000 + "}"]
)
def test_a_structured_cloud_event_is_judged_like_the_bare_request(data: str) -> None:
    head = json.dumps({**EVENT, "source": "\udc80"})[:-1]
    bare, event = judged(data.encode()), judged(f'{head}, "data": {data}}}'.encode(), headers=STRUCTURED)
    assert isinstance(bare, Refused)
    assert isinstance(event, Refused)
    assert event.error.type == bare.error.type
    ends_in_a_result(event)


@pytest.mark.parametrize("body", ["[1]", "3", "null"])
def test_a_structured_cloud_event_that_is_no_object_is_refused(body: str) -> None:
    ends_in_a_result(judged(body.encode(), headers=STRUCTURED))


def test_a_structured_cloud_event_that_is_not_json_is_undecodable() -> None:
    with pytest.raises(Undecodable):
        judged(b"<event/>", headers=STRUCTURED)


def test_an_event_id_may_hold_any_text() -> None:
    assert taken(CHAT, headers={"ce-id": "\udcff", "ce-source": "/shop"}).origin.request_id.startswith("ce-")


def test_an_embed_request_carries_its_encoding() -> None:
    assert taken({**EMBED, "encoding": "base64"}, "request.acme.embed").origin.encoding == "base64"
