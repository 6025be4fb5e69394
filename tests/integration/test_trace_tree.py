"""Requests through separate processes, and their spans as a receiver of OTLP got them: one whole tree a request, whatever happened on its way.

All of them travel at the same time: the one whose adapter is killed waits two `ack_wait`.
"""

import asyncio
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bus.client import HeadraceClient
from bus.server import free_port
from cli.records import Event, events_of
from cli.show import console
from cli.tracing import tree
from tests.support.client import Outsider
from tests.support.collector import Collector, Seen
from tests.support.processes import eventually
from tests.support.stack import Stack, configuration, fake_provider
from tests.support.traces import Observed, drawn, label

pytestmark = pytest.mark.timeout(240)

REFUSING, SPOKEN = "[[status 401]]", '[[json {"ok": true}]]'
SCHEMA = {"type": "object", "properties": {"ok": {"const": True}}, "required": ["ok"], "additionalProperties": False}
CANARY, METADATA = "canary-4711", {"role": "critic", "ticket": "T-1", "internal": "not for observers"}
ALIKE_S = 0.05
UNSAMPLED = "11111111111111111111111111111111"


@dataclass
class Story:
    """What was left when all had come to rest."""

    spans: list[Seen]
    raw: bytes
    traces: dict[str, str]
    results: dict[str, dict[str, Any]]
    headers: dict[str, Any]
    stored: dict[str, float] = field(default_factory=dict)
    """When messages were stored, by `stream:sequence`; those of CALLS are gone."""

    told: dict[str, list[Event]] = field(default_factory=dict)
    """What `headrace trace` reads."""

    def of(self, name: str) -> list[Seen]:
        return sorted((span for span in self.spans if span.trace_id == self.traces[name]), key=lambda span: span.began)

    def one(self, name: str, said: str) -> Seen:
        [found] = [span for span in self.of(name) if label(span) == said]
        return found


async def live(folder: Path) -> Story:
    async with Collector() as collector:
        exporting = {"OTEL_SDK_DISABLED": "false", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        stack = Stack(folder, environment=exporting)
        try:
            await stack.start_servers()
            await stack.start_provider()
            await stack.begin_services(1, configured(stack.base_url))
            async with Outsider(stack.server.url) as outsider:
                theirs = Observed(outsider, collector.url)
                await theirs.listen()
                await travel(stack, theirs)
                await at_rest(outsider, collector)
                await asyncio.to_thread(theirs.provider.shutdown)
                results = {key.partition("/")[2]: heard[0] for key, heard in outsider.heard.items()}
                stored = await stored_at(outsider)
                told = await records(stack, theirs)
        finally:
            await asyncio.to_thread(stack.end)
        return Story(collector.spans, b"".join(collector.raw), theirs.traces, results, dict(theirs.results), stored, told)


def configured(base_url: str) -> dict[str, Any]:
    models = [{"id": "small"}, {"id": SPOKEN}]
    providers = [fake_provider(base_url, models=models), fake_provider(base_url, id="closed", type="mistral", models=[{"id": REFUSING}])]
    routes = {"default": {"candidates": ["fake/small"]}, "failover": {"candidates": [f"closed/{REFUSING}", "fake/small"]}}
    tenants = {"acme": {}, "open": {"capture_content": True}}
    return configuration(base_url, providers=providers, routes=routes, tenants=tenants)


async def travel(stack: Stack, theirs: Observed) -> None:
    outsider = theirs.outsider
    await outsider.answer("warm")
    await eventually(lambda: lent(outsider), 60, what="room for several calls")
    port = free_port()
    await killed_in_mid_call(stack, theirs, port)
    await repaired_by_another(stack, theirs, port)
    await cancelled(stack, theirs)
    await theirs.ask("failover", f"Hello {CANARY}", route="failover", metadata=METADATA)
    await theirs.ask("scheduled", f"{CANARY} [[status 429 x1]] [[retry_after 2 x1]]")
    await theirs.send("undecodable", b"no JSON at all")
    with theirs.tracer.start_as_current_span("produce") as span:
        theirs.traces["dead"] = f"{span.get_span_context().trace_id:032x}"
        await outsider.js.publish("llm.v1.call.fake.standard.acme.dead.1", b'{"n": "seven"}', headers=theirs.headers())
        theirs.sequences["dead"] = 0
    await outsider.request({"id": "unsampled", "messages": [{"role": "user", "content": "Hi"}]}, headers={"traceparent": f"00-{UNSAMPLED}-00f067aa0ba902b7-00"})
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "open-secret"}]
    await theirs.send("captured", {"id": "captured", "messages": said, "stream": True, "sampling": {"temperature": 0.5, "max_output_tokens": 7}}, "open")
    await outsider.result("scheduled", within_s=60)
    await by_our_client(stack, theirs)
    for request_id in ("warm", "repair", "cancelled", "failover", "dead", "unsampled", "replayed", "killed"):
        await outsider.result(request_id, within_s=90)
    await outsider.result("captured", "open")


async def by_our_client(stack: Stack, theirs: Observed) -> None:
    bus = await stack.bus()
    with theirs.tracer.start_as_current_span("produce") as span:
        theirs.traces["replayed"] = f"{span.get_span_context().trace_id:032x}"
        await HeadraceClient(bus, "acme").publish({"id": "replayed", "messages": [{"role": "user", "content": "Again"}], "replay_of": "scheduled"})
    await bus.close()


async def killed_in_mid_call(stack: Stack, theirs: Observed, port: int) -> None:
    outsider = theirs.outsider
    await theirs.ask("killed", f"{CANARY} [[stall x1]]")
    await eventually(lambda: stack.calls("killed"), 30)
    await asyncio.sleep(0.3)  # so long that whatever is sent before its parent has ended has been sent
    stack.kill("adapters-1")
    await theirs.ask("expired", "Hello", timeout_s=0.5)
    await outsider.result("expired", within_s=60)
    stack.start("adapters-2", {"HEADRACE_PROBE_PORT": str(port)})
    await stack.ready("adapters-2")


async def cancelled(stack: Stack, theirs: Observed) -> None:
    await theirs.ask("cancelled", "[[stall]]")
    await eventually(lambda: stack.calls("cancelled"), 30)
    with theirs.tracer.start_as_current_span("cancel") as span:
        theirs.traces["cancel"] = f"{span.get_span_context().trace_id:032x}"
        await theirs.outsider.js.publish("llm.v1.cancel.acme.cancelled", b"", headers=theirs.headers())


async def repaired_by_another(stack: Stack, theirs: Observed, port: int) -> None:
    """The provider sleeps until there is a second adapter and the first one, told to leave, takes no more calls."""
    outsider = theirs.outsider
    assert stack.provider is not None
    stack.provider.send(signal.SIGSTOP)
    await theirs.ask("repair", f'{CANARY} [[json {{"{CANARY}": 1}}]]', model=f"fake/{SPOKEN}", output={"json_schema": SCHEMA})
    await eventually(lambda: outsider.subjects("JOURNAL", "llm.v1.begun.acme.repair.>"), 30, what="the first call begun")
    stack.start("adapters-3")
    await stack.ready("adapters-3")
    stack.send(signal.SIGTERM, "adapters-2")
    await eventually(lambda: leaving(port), 30, what="an adapter that takes no more calls")
    stack.provider.send(signal.SIGCONT)
    await outsider.result("repair", within_s=60)


async def leaving(port: int) -> bool:
    """Whether the process says that it stops: from then on it hands back whatever comes."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as answer:
        return "stopping" in await answer.text()


async def lent(outsider: Outsider) -> bool:
    return ((await outsider.js.consumer_info("CALLS", "adapter-fake-standard")).config.max_ack_pending or 0) >= 10


async def at_rest(outsider: Outsider, collector: Collector) -> None:
    durables = {"meter": "ATTEMPTS", "validator-standard": "ATTEMPTS", "router-failed-standard": "ATTEMPTS", "router-standard": "REQUESTS"}
    await asyncio.gather(*(outsider.idle(durable, stream) for durable, stream in durables.items()))
    seen = -1
    while seen != len(collector.spans):
        seen = len(collector.spans)
        await asyncio.sleep(2)  # twenty times the exporters' delay


async def records(stack: Stack, theirs: Observed) -> dict[str, list[Event]]:
    bus = await stack.bus()
    names = {name: f"seq-{seq}" if name == "undecodable" else name for name, seq in theirs.sequences.items()}
    try:
        return {name: await events_of(bus, "acme", request_id) for name, request_id in names.items()}
    finally:
        await bus.close()


async def stored_at(outsider: Outsider) -> dict[str, float]:
    found = {}
    for stream in ("REQUESTS", "ATTEMPTS", "VERDICTS"):
        for seq in range(1, await outsider.last_sequence(stream) + 1):
            message = await outsider.js.get_msg(stream, seq)
            assert message.time is not None
            found[f"{stream}:{seq}"] = message.time.timestamp()
    return found


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    yield asyncio.run(live(tmp_path_factory.mktemp("traces")))


def answered(request_id: str, n: int, model: str = "small", end: str = "settle") -> list[str]:
    """The lines from a call to its result, or to the verdict on it."""
    attempt = f"attempt.answered.standard.acme.{request_id}.{n}"
    settled = [f"publish settle.acme.{request_id}", "  read result"]
    return [
        f"process call.fake.standard.acme.{request_id}.{n} by adapters",
        f"  chat {model}",
        f"  publish {attempt}",
        f"    process {attempt} by meter",
        "      publish cost.acme",
        f"    process {attempt} by validator",
        *(f"      {line}" for line in (settled if end == "settle" else [])),
    ]


def failed(request_id: str, n: int, by: str = "router") -> list[str]:
    attempt = f"attempt.failed.standard.acme.{request_id}.{n}"
    return [f"publish {attempt}", f"  process {attempt} by meter", "    publish cost.acme", f"  process {attempt} by {by}"]


def below(depth: int, lines: list[str]) -> list[str]:
    return ["  " * depth + line for line in lines]


BEGIN = ["produce", "  process request.acme.chat by router"]


def test_a_failover_is_one_tree_in_which_each_hop_hangs_on_the_hop_before(story: Story) -> None:
    assert drawn(story.of("failover")) == [
        *BEGIN,
        *below(2, ["publish call.closed.standard.acme.failover.1", "  process call.closed.standard.acme.failover.1 by adapters"]),
        *below(4, [f"chat {REFUSING} !auth", *failed("failover", 1)]),
        *below(6, ["publish call.fake.standard.acme.failover.2", *below(1, answered("failover", 2))]),
    ]


def test_a_repair_by_another_adapter_is_one_tree(story: Story) -> None:
    verdict = "verdict.standard.acme.repair.1"
    assert drawn(story.of("repair")) == [
        *BEGIN,
        *below(2, ["publish call.fake.standard.acme.repair.1", *below(1, answered("repair", 1, SPOKEN, "verdict"))]),
        *below(6, [f"publish {verdict}", f"  process {verdict} by router"]),
        *below(8, ["publish call.fake.standard.acme.repair.2", *below(1, answered("repair", 2, SPOKEN))]),
    ]
    first, second = [span.instance for span in story.of("repair") if span.kind == "client"]
    assert first != second


def test_a_scheduled_retry_is_one_tree_and_its_delay_is_told(story: Story) -> None:
    assert drawn(story.of("scheduled")) == [
        *BEGIN,
        *below(2, ["publish call.fake.standard.acme.scheduled.1", "  process call.fake.standard.acme.scheduled.1 by adapters"]),
        *below(4, ["chat small !rate_limited", *failed("scheduled", 1)]),
        *below(6, ["publish call.later.standard.acme.scheduled.2", *below(1, answered("scheduled", 2))]),
    ]
    later = story.one("scheduled", "publish call.later.standard.acme.scheduled.2")
    served = story.one("scheduled", "process call.fake.standard.acme.scheduled.2 by adapters")
    assert 1 < later.facts["headrace.schedule.delay_s"] <= 4
    assert later.facts["headrace.schedule.target"] == served.facts["messaging.destination.name"]
    assert served.facts["headrace.schedule.by"] == later.facts["messaging.destination.name"]
    assert served.began - later.began >= later.facts["headrace.schedule.delay_s"] - ALIKE_S


def test_a_killed_adapter_leaves_no_orphan_and_each_redelivery_is_a_span_linked_with_the_one_that_was_lost(story: Story) -> None:
    again = "process call.fake.standard.acme.killed.1 by adapters again"
    assert drawn(story.of("killed")) == [
        *BEGIN,
        *below(2, ["publish call.fake.standard.acme.killed.1", f"  {again} 2", f"  {again} 3"]),
        *below(4, failed("killed", 1)),
        *below(6, ["publish call.later.standard.acme.killed.2", *below(1, answered("killed", 2))]),
    ]
    second, third = story.one("killed", f"{again} 2"), story.one("killed", f"{again} 3")
    assert [why for *_, why in second.links] == [why for *_, why in third.links] == ["begun"]
    [(trace_id, lost, _)], [(_, same, _)] = second.links, third.links
    assert (trace_id, lost) == (story.traces["killed"], same)
    assert lost not in {span.span_id for span in story.spans}
    assert (second.facts["headrace.delivery.outcome"], second.facts["headrace.retry_after_s"]) == ("retry", 15)
    assert (third.facts["headrace.delivery.outcome"], third.facts["headrace.attempt.outcome"]) == ("acknowledged", "outcome_unknown")
    assert not second.failed


def test_a_dead_letter_is_in_the_trace_of_what_died_and_its_span_says_why(story: Story) -> None:
    assert drawn(story.of("undecodable")) == [
        "produce",
        "  process request.acme.chat by router !undecodable",
        "    publish dead.router.acme",
    ]
    assert drawn(story.of("dead")) == [
        "produce",
        "  process call.fake.standard.acme.dead.1 by adapters !undecodable",
        "    publish dead.adapters.acme",
        "    publish settle.acme.dead",
        "      read result",
    ]
    assert story.one("dead", "process call.fake.standard.acme.dead.1 by adapters !undecodable").facts["headrace.delivery.outcome"] == "rejected"


def test_a_call_that_nobody_took_ends_in_the_trace_of_its_request(story: Story) -> None:
    assert drawn(story.of("expired")) == [
        *BEGIN,
        *below(2, ["publish call.fake.standard.acme.expired.1", *below(1, failed("expired", 1))]),
        *below(5, ["publish settle.acme.expired", "  read result"]),
    ]
    assert story.one("expired", "process attempt.failed.standard.acme.expired.1 by router").facts["headrace.result.status"] == "expired"


def test_the_result_of_a_cancelled_request_ends_its_own_trace_not_that_of_the_cancel(story: Story) -> None:
    """Router and adapter hear of a cancel at the same time: either may be the first to end the request, and the other's result is dropped."""
    lines = drawn(story.of("cancelled"))
    call = "call.fake.standard.acme.cancelled.1"
    assert lines[:5] == [*BEGIN, *below(2, [f"publish {call}", f"  process {call} by adapters", "    chat small !cancelled"])]
    assert [line.strip() for line in lines].count("read result") == 1
    assert drawn(story.of("cancel")) == ["cancel", "  process cancel.acme.cancelled by router"]
    links = story.one("cancel", "process cancel.acme.cancelled by router").links
    known = {story.one("cancelled", f"publish {call}").span_id: "cancelled", story.one("cancelled", f"process {call} by adapters").span_id: "begun"}
    assert {span_id: why for _, span_id, why in links}.items() <= known.items()
    assert {trace_id for trace_id, *_ in links} <= {story.traces["cancelled"]}


def test_no_span_is_an_orphan(story: Story) -> None:
    known = {span.span_id for span in story.spans}
    assert [label(span) for span in story.spans if span.parent_id and span.parent_id not in known] == []


def test_each_request_is_one_trace_and_its_result_names_it(story: Story) -> None:
    traces: dict[str, set[str]] = {}
    for span in story.spans:
        if "headrace.request.id" in span.facts and span.trace_id != story.traces["cancel"]:
            traces.setdefault(span.facts["headrace.request.id"], set()).add(span.trace_id)
    assert {name: found for name, found in traces.items() if len(found) != 1} == {}
    told = {name: {result["trace_id"]} for name, result in story.results.items() if name not in ("dead", "unsampled")}
    assert told == {name: found for name, found in traces.items() if name != "dead"}
    assert all(headers["traceparent"].split("-")[1] in traces.get(name, {UNSAMPLED}) for name, headers in story.headers.items())


def test_a_request_without_a_producers_trace_begins_one_at_the_router(story: Story) -> None:
    [trace_id] = {span.trace_id for span in story.spans if span.facts.get("headrace.request.id") == "warm"}
    root, *_ = sorted((span for span in story.spans if span.trace_id == trace_id), key=lambda span: span.began)
    assert (root.parent_id, root.service, root.kind) == ("", "headrace-router", "consumer")


def test_a_request_by_our_own_client_hangs_on_the_span_that_is_open_where_it_is_sent(story: Story) -> None:
    assert drawn(story.of("replayed"))[:2] == ["produce", "  process request.acme.chat.standard by router"]


def test_an_unsampled_request_makes_no_span_and_its_header_travels_on(story: Story) -> None:
    assert not [span for span in story.spans if span.trace_id == UNSAMPLED]
    assert story.headers["unsampled"]["traceparent"] == f"00-{UNSAMPLED}-00f067aa0ba902b7-00"


def test_spans_have_the_kinds_names_and_attributes_of_the_messaging_conventions(story: Story) -> None:
    served = story.one("failover", "process call.fake.standard.acme.failover.2 by adapters")
    sent = story.one("failover", "publish call.fake.standard.acme.failover.2")
    template = "llm.v1.call.{provider}.{lane}.{tenant}.{request_id}.{n}"
    assert (served.name, served.kind, sent.name, sent.kind) == (f"process {template}", "consumer", f"publish {template}", "producer")
    common = {
        "messaging.system": "nats",
        "messaging.destination.name": "llm.v1.call.fake.standard.acme.failover.2",
        "messaging.destination.template": template,
        "messaging.nats.stream": "CALLS",
        "server.address": "127.0.0.1",
        "headrace.tenant": "acme",
        "headrace.request.id": "failover",
        "headrace.lane": "standard",
        "headrace.provider": "fake",
        "headrace.call.n": 2,
    }
    assert common.items() <= served.facts.items()
    assert common.items() <= sent.facts.items()
    assert {"messaging.operation.name": "publish", "messaging.operation.type": "send"}.items() <= sent.facts.items()
    assert {"messaging.operation.name": "process", "messaging.operation.type": "process"}.items() <= served.facts.items()
    assert served.facts["messaging.consumer.group.name"] == "adapter-fake-standard"
    assert served.facts["messaging.message.id"] == sent.facts["messaging.message.id"]
    assert served.facts["messaging.message.body.size"] == sent.facts["messaging.message.body.size"] > 500
    assert served.facts["messaging.nats.message.delivery_count"] == 1


def test_queue_wait_is_the_time_from_stored_to_delivered(story: Story) -> None:
    checked = set()
    for span in story.spans:
        stored = story.stored.get(span.facts.get("messaging.message.id", ""))
        if span.kind == "consumer" and stored is not None:
            checked.add(span.facts["messaging.nats.stream"])
            assert span.facts["headrace.queue.wait_s"] == pytest.approx(span.began - stored, abs=ALIKE_S), label(span)
    assert checked == {"REQUESTS", "ATTEMPTS", "VERDICTS"}


def test_a_redelivery_waited_since_the_message_was_stored(story: Story) -> None:
    sent = story.one("killed", "publish call.fake.standard.acme.killed.1")
    again = [span for span in story.of("killed") if span.kind == "consumer" and span.parent_id == sent.span_id]
    assert len(again) == 2
    for span in again:
        assert sent.began - ALIKE_S <= span.began - span.facts["headrace.queue.wait_s"] <= sent.ended + ALIKE_S


def test_the_call_to_the_provider_has_a_span_by_the_genai_conventions(story: Story) -> None:
    chat = story.one("failover", "chat small")
    result = story.results["failover"]
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "small",
        "gen_ai.response.model": "small",
        "gen_ai.response.id": result["response_id"],
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": result["attempts"][1]["usage"]["input_tokens"],
        "gen_ai.usage.output_tokens": result["attempts"][1]["usage"]["output_tokens"],
        "server.address": "127.0.0.1",
        "headrace.provider": "fake",
        "headrace.call.n": 2,
    }
    assert chat.kind == "client"
    assert expected.items() <= chat.facts.items()
    assert "gen_ai.response.time_to_first_chunk" not in chat.facts
    refused = story.one("failover", f"chat {REFUSING} !auth")
    assert (refused.facts["gen_ai.provider.name"], refused.facts["error.type"], refused.said) == ("mistral_ai", "auth", "")


def test_what_a_request_says_of_itself_is_on_its_spans_and_nothing_beside(story: Story) -> None:
    for said in ("process request.acme.chat by router", "chat small"):
        facts = story.one("failover", said).facts
        assert {name: value for name, value in facts.items() if name.startswith("headrace.metadata.")} == {
            "headrace.metadata.role": "critic",
            "headrace.metadata.ticket": "T-1",
        }


def test_a_replay_is_a_trace_of_its_own_linked_with_the_result_that_it_repeats(story: Story) -> None:
    router = story.one("replayed", "process request.acme.chat.standard by router")
    settled = story.one("scheduled", "publish settle.acme.scheduled")
    assert router.links == ((story.traces["scheduled"], settled.span_id, "replay_of"),)
    assert router.facts["headrace.replay_of"] == "scheduled"


def test_content_is_captured_for_the_tenant_that_asks_for_it_and_for_no_other(story: Story) -> None:
    chat = story.one("captured", "chat small")
    answer = story.results["captured"]["message"]["parts"][0]["content"]
    assert json.loads(chat.facts["gen_ai.input.messages"]) == [{"role": "user", "parts": [{"type": "text", "content": "open-secret"}]}]
    assert json.loads(chat.facts["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief."}]
    assert json.loads(chat.facts["gen_ai.output.messages"]) == [{"role": "assistant", "parts": [{"type": "text", "content": answer}], "finish_reason": "stop"}]
    assert {"gen_ai.request.temperature": 0.5, "gen_ai.request.max_tokens": 7, "gen_ai.request.stream": True}.items() <= chat.facts.items()
    assert chat.facts["gen_ai.response.time_to_first_chunk"] > 0
    with_content = {"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions"}
    assert {span.trace_id for span in story.spans if with_content & set(span.facts)} == {story.traces["captured"]}
    assert CANARY.encode() not in story.raw
    assert not [span for span in story.spans if span.said or span.events]


def test_every_process_says_who_it_is(story: Story) -> None:
    ours = [span for span in story.spans if span.service != "theirs"]
    assert {span.service for span in ours} == {"headrace-router", "headrace-adapters", "headrace-validator", "headrace-meter"}
    assert len({span.instance for span in ours}) == 6, "router, validator, meter, and three adapters, of which one was killed"
    assert all(span.resource["service.version"] for span in ours)


def steps(story: Story, name: str) -> list[str]:
    return [f"{event.what} {event.n}" if event.n else event.what for event in story.told[name]]


def call(n: int) -> list[str]:
    return [f"queued {n}", f"begun {n}", f"attempt {n}"]


def test_the_bus_itself_tells_each_way_without_any_spans(story: Story) -> None:
    for name in ("failover", "scheduled", "killed"):
        assert steps(story, name) == ["request", *call(1), *call(2), "result"], name
    assert steps(story, "repair") == ["request", *call(1), "verdict 1", *call(2), "result"]
    assert sorted(steps(story, "dead")) == ["dead letter 1", "result"]
    assert steps(story, "undecodable") == ["request", "dead letter"]


def test_the_bus_tells_a_scheduled_delay_and_a_queues_wait(story: Story) -> None:
    _, _, _, first, queued, begun, second, _ = story.told["scheduled"]
    assert (queued.at - first.at).total_seconds() >= 1
    assert queued.facts["queue_s"] == second.facts["queue_s"] == pytest.approx((begun.at - queued.at).total_seconds(), abs=ALIKE_S)


def test_the_bus_names_the_trace_to_look_for_elsewhere(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    console().print(tree("killed", story.told["killed"]))
    shown = capsys.readouterr().out
    assert story.traces["killed"] in shown
    assert "outcome_unknown" in shown
