"""CloudEvents over a real server: requests in both modes, and results with the headers of one."""

import base64
import hashlib
import json
from typing import Any

from tests.support.client import Outsider
from tests.support.cloud_events import broken_rules
from tests.support.stack import Stack

CHAT = {"messages": [{"role": "user", "content": "Hello"}]}
STRUCTURED = {"content-type": "application/cloudevents+json"}


def event(number: str, **fields: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": number, "source": "/shop/till", "type": "shop.question", **fields}


def derived(number: str) -> str:
    """The request id of an event, as its producer knows it."""
    return "ce-" + hashlib.sha256(f"/shop/till\n{number}".encode()).hexdigest()[:32]


async def test_an_event_is_answered_under_an_id_made_of_its_source_and_id_in_either_mode(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        await outsider.request(event("s 1", data=CHAT), headers=STRUCTURED)
        await outsider.request(event("s2", data_base64=base64.b64encode(json.dumps(CHAT).encode()).decode()), headers=STRUCTURED)
        await outsider.request(CHAT, headers={f"ce-{name}": value for name, value in event("b%201").items()})
        results = [await outsider.result(derived(number)) for number in ("s 1", "s2", "b 1")]
        assert [result["status"] for result in results] == ["succeeded"] * 3


async def test_the_same_event_in_the_other_mode_is_the_same_request(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        await outsider.request(event("twice", data=CHAT), headers=STRUCTURED)
        await outsider.result(derived("twice"))
        await outsider.request(CHAT, headers={f"ce-{name}": value for name, value in event("twice").items()})
        await outsider.idle("router-standard", "REQUESTS")
        assert len(outsider.heard[f"acme/{derived('twice')}"]) == 1
        assert len(stack.calls(derived("twice"))) == 1


async def test_an_event_is_asked_again_after_a_failure_as_any_request_is(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        asked = {"messages": [{"role": "user", "content": "[[status 503 x1]] an event"}]}
        await outsider.request(event("again", data=asked), headers=STRUCTURED, lane="interactive")
        result = await outsider.result(derived("again"))
        assert [attempt["outcome"] for attempt in result["attempts"]] == ["unavailable", "answered"]


async def test_an_event_that_breaks_its_format_is_refused_by_name(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        await outsider.request({**event("old", data=CHAT), "specversion": "0.3"}, headers=STRUCTURED)
        await outsider.request(event("xml", data="<chat/>", datacontenttype="application/xml"), headers=STRUCTURED)
        await outsider.request(b"<chat/>", headers={f"ce-{name}": value for name, value in event("b-xml", datacontenttype="text/xml").items()})
        wanted = {"old": "specversion", "xml": "datacontenttype", "b-xml": "ce-datacontenttype"}
        for number, field in wanted.items():
            result = await outsider.result(derived(number))
            assert (result["status"], result["error"]["type"], result["error"]["field"]) == ("refused", "invalid_request", field)


async def test_an_event_brings_its_trace(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        await outsider.request(event("t1", data=CHAT, traceparent=f"00-{'a' * 32}-{'b' * 16}-01"), headers=STRUCTURED)
        await outsider.request(CHAT, headers={f"ce-{name}": value for name, value in event("t2", traceparent=f"00-{'c' * 32}-{'d' * 16}-01").items()})
        assert [(await outsider.result(derived(number)))["trace_id"] for number in ("t1", "t2")] == ["a" * 32, "c" * 32]


async def test_a_result_is_a_cloud_event_for_subscribers_and_for_direct_get(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        heard = await outsider.nc.subscribe("llm.v1.result.acme.as-event")
        await outsider.ask("as-event")
        message = await heard.next_msg(timeout=20)
        stored = await outsider.js.get_last_msg("RESULTS", "llm.v1.result.acme.as-event", direct=True)
        for headers in (message.headers or {}, stored.headers or {}):
            assert broken_rules(dict(headers)) == []
            assert (headers["ce-type"], headers["ce-subject"]) == ("headrace.result.v1", "as-event")
