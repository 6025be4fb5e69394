"""The Messages API through Anthropic's SDK over real HTTP: what is sent, what comes back, and every way in which a connection can end."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic_core import to_json

from catalog.kinds import kind_of
from contracts.request import ChatRequestV1, EmbedRequestV1
from services.adapters.anthropic.convert import chat_body
from services.adapters.protocol import Answer, Client, DeltaPiece, Failure
from tests.support.clients import client_at

KEY = "sk-ant-secret-0123456789"
MODEL = "claude-sonnet-4-5"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
HELLO = {"id": "msg_1", "model": "claude-x", "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn", "usage": {"input_tokens": 3}}


def sse(*events: dict[str, Any], end: str = "\n") -> bytes:
    return b"".join(f"event: {event['type']}{end}data: {json.dumps(event, ensure_ascii=False)}{end}{end}".encode() for event in events)


def text(piece: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}


EVENTS = (
    {"type": "message_start", "message": {"id": "msg_1", "model": "claude-x", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    text("Grü"),
    text("ße"),
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
)
STREAM = sse(*EVENTS)


@asynccontextmanager
async def provider(handler: Handler, **fields: Any) -> Any:
    """A provider at a free port, answering everything with `handler`, and a client that dials it."""
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}{fields.pop('below', '')}"
    try:
        async with aiohttp.ClientSession() as session:
            yield client_at(session, url, **{"type_name": "anthropic", "key": KEY, **fields})
    finally:
        await runner.cleanup()


async def chat(client: Client, on_delta: Any = None, timeout_s: float = 5, **fields: Any) -> Answer | Failure:
    request = ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "the prompt"}], **fields})
    return await client.chat(request, MODEL, timeout_s=timeout_s, idempotency_key="acme/job-1/1", on_delta=on_delta)


def ask(handler: Handler, client: dict[str, Any] | None = None, **options: Any) -> Answer | Failure:
    async def run() -> Answer | Failure:
        async with provider(handler, **(client or {})) as dialled:
            return await chat(dialled, **options)

    return asyncio.run(run())


def answering(status: int = 200, body: Any = None, **headers: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(HELLO if body is None else body, status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return handler


def streaming(*chunks: bytes, then: str = "end") -> Handler:
    """Streams these chunks, then ends rightly, aborts the connection, or holds it open."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if then == "hold":
            await asyncio.Event().wait()
        if then == "abort" and request.transport is not None:
            request.transport.abort()
        return response

    return handler


def said(outcome: Answer | Failure) -> str:
    assert isinstance(outcome, Answer) and outcome.message is not None, outcome
    return "".join(part.content for part in outcome.message.all_parts() if part.type == "text")


def failed(outcome: Answer | Failure) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


def test_what_is_sent_are_our_bytes_with_the_key_in_its_header_and_no_credential_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-of-the-environment")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    seen: list[tuple[str, Any, bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers, await request.read()))
        return web.json_response(HELLO)

    assert said(ask(handler)) == "hi"
    ((path, headers, body),) = seen
    asked = chat_body(ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "the prompt"}]}), MODEL, kind_of("anthropic"))
    assert path == "/v1/messages" and body == to_json(asked.body)
    assert headers["x-api-key"] == KEY and "Authorization" not in headers and headers["anthropic-version"] and headers["Idempotency-Key"] == "acme/job-1/1"
    assert headers["User-Agent"].startswith("AsyncAnthropic/") and "sk-ant-of-the-environment" not in str(headers)


@pytest.mark.parametrize("below", ["", "/", "/v1", "/v1/"])
def test_a_base_url_is_understood_with_and_without_its_version(below: str) -> None:
    paths: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.json_response(HELLO)

    ask(handler, {"below": f"/anthropic{below}"})
    assert paths == ["/anthropic/v1/messages"]


def test_a_proxy_gets_a_bearer_token_where_the_configuration_gives_that_header() -> None:
    seen: list[Any] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers)
        return web.json_response(HELLO)

    ask(handler, {"key": None, "headers": {"authorization": "Bearer of-the-proxy"}})
    assert seen[0]["Authorization"] == "Bearer of-the-proxy" and "x-api-key" not in seen[0]


def test_nothing_is_asked_twice_and_the_sdk_makes_no_spans_of_its_own() -> None:
    calls: list[Any] = []
    spans, tracing = InMemorySpanExporter(), TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(spans))

    async def handler(request: web.Request) -> web.Response:
        calls.append(request.headers.get("traceparent"))
        return web.json_response({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, status=529, headers={"x-should-retry": "true"})

    trace.set_tracer_provider(tracing)
    with tracing.get_tracer("test").start_as_current_span("ours"):
        assert failed(ask(handler)).type == "overloaded"
    assert calls == [None] and [span.name for span in spans.get_finished_spans()] == ["ours"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_stream_is_the_same_however_it_is_cut_into_chunks(end: str) -> None:
    whole = b": a comment" + end.encode() * 2 + sse(*EVENTS, end=end)
    pieces: list[DeltaPiece] = []
    outcome = ask(streaming(*(whole[at : at + 1] for at in range(len(whole)))), stream=True, on_delta=pieces.append, timeout_s=20)
    assert said(outcome) == "Grüße" == "".join(piece.content or "" for piece in pieces)
    assert isinstance(outcome, Answer) and (outcome.usage.input_tokens, outcome.usage.output_tokens) == (3, 2)


def test_a_stream_cut_at_every_tenth_byte_fails_as_truncated_or_had_all_that_counts() -> None:
    complete = STREAM.index(b"message_delta") + len(sse(EVENTS[6])) - 8

    async def run() -> list[tuple[int, Answer | Failure]]:
        outcomes = []
        for at in range(1, len(STREAM), 10):
            async with provider(streaming(STREAM[:at], then="abort")) as client:
                outcomes.append((at, await chat(client, stream=True, on_delta=lambda _: None)))
        return outcomes

    for at, outcome in asyncio.run(run()):
        if isinstance(outcome, Answer):
            assert at >= complete, at
        else:
            assert outcome.type == "truncated_stream" and not outcome.usage_known_zero, outcome


def test_a_stream_that_says_nothing_any_more_fails_with_what_had_arrived() -> None:
    slow = failed(ask(streaming(sse(*EVENTS[:4]), then="hold"), {"idle_timeout_s": 0.2}, stream=True))
    never = failed(ask(streaming(then="hold"), {"first_token_timeout_s": 0.2}, stream=True))
    assert slow.type == never.type == "timeout" and slow.partial is not None and never.partial is None


def test_an_error_in_a_stream_of_a_200() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": f"no room for {KEY}"}}
    failure = failed(ask(streaming(sse(*EVENTS[:4], error)), stream=True))
    assert (failure.type, failure.message) == ("overloaded", "no room for ***") and failure.partial is not None


def test_keys_that_a_provider_echoes_do_not_leave_the_client() -> None:
    body = {"type": "error", "error": {"type": "authentication_error", "message": f"invalid x-api-key {KEY}"}}
    failure = failed(ask(answering(401, body, retry_after="3")))
    assert failure.message == "invalid x-api-key ***" and KEY not in repr(failure)
    assert (failure.type, failure.retry_after_s, failure.usage_known_zero) == ("auth", 3, True)


def test_a_redirect_is_not_followed_with_the_key() -> None:
    calls: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        calls.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    assert "redirects to '/elsewhere'" in failed(ask(handler)).message and calls == ["/v1/messages"]


@pytest.mark.parametrize("stream", [False, True])
def test_cancelling_closes_the_connection_within_a_second(stream: bool) -> None:
    async def run() -> None:
        began, ended = asyncio.Event(), asyncio.Event()

        async def handler(request: web.Request) -> web.StreamResponse:
            began.set()
            try:
                return await streaming(sse(*EVENTS[:4]), then="hold")(request) if stream else await asyncio.sleep(60, web.json_response(HELLO))
            finally:
                ended.set()

        async with provider(handler) as client:
            call = asyncio.create_task(chat(client, stream=stream))
            await asyncio.wait_for(began.wait(), 5)
            call.cancel()
            await asyncio.wait_for(ended.wait(), 1)
            with pytest.raises(asyncio.CancelledError):
                await call

    asyncio.run(run())


def test_a_provider_that_is_not_there_or_breaks_off() -> None:
    async def aborting(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def nobody() -> Answer | Failure:
        async with aiohttp.ClientSession() as session:
            return await chat(client_at(session, "http://127.0.0.1:9", "anthropic", key=KEY))

    gone, broken, late = failed(asyncio.run(nobody())), failed(ask(aborting)), failed(ask(streaming(then="hold"), timeout_s=0.2))
    assert (gone.type, gone.usage_known_zero) == ("unavailable", True) and gone.message.startswith("cannot connect")
    assert (broken.type, broken.usage_known_zero) == ("unavailable", False)
    assert (late.type, late.usage_known_zero) == ("timeout", False)


def test_one_connection_serves_many_calls() -> None:
    peers: set[Any] = set()

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return await streaming(STREAM)(request) if (await request.json()).get("stream") else web.json_response(HELLO)

    async def run() -> None:
        async with provider(handler) as client:
            for number in range(6):
                assert isinstance(await chat(client, stream=number % 2 == 0), Answer)

    asyncio.run(run())
    assert len(peers) == 1


def test_a_large_body_arrives() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({**HELLO, "content": [{"type": "text", "text": str(len(await request.read()))}]})

    assert int(said(ask(handler, messages=[{"role": "user", "content": "x" * (2 << 20)}]))) > 2 << 20


def test_embeddings_are_refused_by_name() -> None:
    async def run() -> Any:
        async with provider(answering()) as client:
            return await client.embed(EmbedRequestV1(input=("a",)), MODEL, timeout_s=5, idempotency_key="k")

    failure = failed(asyncio.run(run()))
    assert (failure.type, failure.usage_known_zero) == ("invalid_request", True) and "anthropic has no embeddings" in failure.message


def test_on_vertex_a_refused_token_is_renewed_and_the_call_made_once_more() -> None:
    seen: list[tuple[str, str, Any]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers["Authorization"], await request.json()))
        return web.json_response(HELLO) if len(seen) > 1 else web.json_response({"error": {"code": 401, "message": "expired"}}, status=401)

    options = {"project": "p", "location": "us-east5", "access_token": "token-of-google"}
    outcome = ask(handler, {"type_name": "vertex_anthropic", "below": "/v1", "options": options, "key": None})
    assert said(outcome) == "hi" and [path for path, _, _ in seen] == [f"/v1/projects/p/locations/us-east5/publishers/anthropic/models/{MODEL}:rawPredict"] * 2
    assert seen[0][1] == "Bearer token-of-google" and seen[0][2]["anthropic_version"] == "vertex-2023-10-16"


def test_the_sdk_is_imported_only_where_a_provider_wants_it() -> None:
    code = "import sys, services.adapters.app; sys.exit(any(name in sys.modules for name in ('anthropic', 'botocore', 'google.auth')))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
