"""The client over real HTTP: what is sent, what comes back, and every way in which a connection can end."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from contracts.request import ChatRequestV1, EmbedRequestV1
from services.adapters.protocol import Answer, Client, DeltaPiece, Failure
from tests.support.clients import client_at

KEY = "sk-secret-0123456789"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
HELLO = {"id": "r1", "model": "m-1", "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}], "usage": {"prompt_tokens": 1}}


@asynccontextmanager
async def provider(handler: Handler, **client: Any) -> Any:
    """A provider at a free port, answering everything with `handler`, and a client that dials it."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    options = {"key": KEY, **client}
    try:
        async with aiohttp.ClientSession() as session:
            yield client_at(session, url, **options)
    finally:
        await runner.cleanup()


async def chat(client: Client, on_delta: Any = None, timeout_s: float = 5, **fields: Any) -> Answer | Failure:
    request = ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "the prompt"}], **fields})
    return await client.chat(request, "m", timeout_s=timeout_s, idempotency_key="acme/job-1/1", on_delta=on_delta)


def ask(handler: Handler, client: dict[str, Any] | None = None, **options: Any) -> Answer | Failure:
    async def run() -> Answer | Failure:
        async with provider(handler, **(client or {})) as dialled:
            return await chat(dialled, **options)

    return asyncio.run(run())


def failed(outcome: Answer | Failure) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


def said(outcome: Answer | Failure) -> str:
    assert isinstance(outcome, Answer) and outcome.message is not None, outcome
    return "".join(part.content for part in outcome.message.all_parts() if part.type == "text")


def sse(*events: Any) -> bytes:
    return b"".join(b"data: " + (event if isinstance(event, str) else json.dumps(event)).encode() + b"\n\n" for event in events)


def piece(text: str, finish: str | None = None) -> dict[str, Any]:
    return {"id": "r1", "model": "m-1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


STREAM = sse(piece("Grü"), piece("ße"), piece("", "stop"), {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}, "[DONE]")


def streaming(*chunks: bytes, then: str = "end") -> Handler:
    """Streams these chunks, then ends rightly, aborts the connection, or holds it open."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if then == "hold":
            await asyncio.sleep(60)
        if then == "abort" and request.transport is not None:
            await asyncio.sleep(0.05)  # a reset may overtake what was sent just before it
            request.transport.abort()
        return response

    return handler


def answering(status: int = 200, body: Any = None, text: str | None = None, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text if text is not None else json.dumps(body), content_type="application/json", headers=headers)

    return handler


def test_what_is_sent() -> None:
    seen: list[tuple[str, Any, Any]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.path, request.headers.copy(), await request.json()))
        return web.json_response(HELLO)

    assert said(ask(handler, {"headers": {"X-Team": "seven"}})) == "hi"
    ((path, headers, body),) = seen
    assert path == "/v1/chat/completions"
    assert (headers["Authorization"], headers["Idempotency-Key"], headers["X-Team"]) == (f"Bearer {KEY}", "acme/job-1/1", "seven")
    assert body == {"model": "m", "messages": [{"role": "user", "content": "the prompt"}]}


@pytest.mark.parametrize("client", [{"key": None}, {"type_name": "local"}])
def test_no_credential_is_sent_where_there_is_none_to_send(client: dict[str, Any]) -> None:
    seen: list[bool] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append("Authorization" in request.headers)
        return web.json_response(HELLO)

    ask(handler, client)
    assert seen == [False]


def test_a_stream_is_told_piece_by_piece_and_whole_at_the_end() -> None:
    pieces: list[DeltaPiece] = []
    outcome = ask(streaming(*(STREAM[at : at + 1] for at in range(len(STREAM)))), on_delta=pieces.append, stream=True)
    assert [told.content for told in pieces] == ["Grü", "ße"]
    assert said(outcome) == "Grüße"
    assert isinstance(outcome, Answer) and (outcome.usage.input_tokens, outcome.usage.output_tokens) == (3, 2)


def test_a_stream_that_is_done_is_not_waited_for_any_longer() -> None:
    assert said(ask(streaming(STREAM, then="hold"), stream=True, timeout_s=2)) == "Grüße"


@pytest.mark.parametrize("then", ["end", "abort"])
@pytest.mark.parametrize("sent", [sse(piece("Grü")), b"", STREAM[:20]])
def test_a_stream_cut_before_its_end_is_truncated(sent: bytes, then: str) -> None:
    failure = failed(ask(streaming(sent, then=then), stream=True))
    assert failure.type == "truncated_stream" and not failure.usage_known_zero


def test_a_stream_that_stalls_ends_at_its_timeout() -> None:
    failure = failed(ask(streaming(sse(piece("Grü")), then="hold"), stream=True, timeout_s=0.2))
    assert failure.type == "timeout" and not failure.usage_known_zero


def test_a_server_that_does_not_stream_is_understood_all_the_same() -> None:
    pieces: list[DeltaPiece] = []
    assert said(ask(answering(body=HELLO), on_delta=pieces.append, stream=True)) == "hi"
    assert [told.content for told in pieces] == ["hi"]


def test_an_error_object_in_a_stream() -> None:
    body = sse(piece("a")) + b'event: error\ndata: {"error": {"message": "no tool call", "code": "tool_use_failed", "status_code": 400}}\n\n'
    failure = failed(ask(streaming(body), stream=True))
    assert (failure.type, failure.provider_code, failure.usage_known_zero) == ("invalid_request", "tool_use_failed", False)


def test_a_timeout_closes_the_connection_and_leaves_the_usage_unknown() -> None:
    async def run() -> Failure:
        gone = asyncio.Event()

        async def handler(_: web.Request) -> web.StreamResponse:
            try:
                await asyncio.sleep(60)
            finally:
                gone.set()
            return web.Response()

        async with provider(handler) as client:
            outcome = failed(await chat(client, timeout_s=0.2))
            await asyncio.wait_for(gone.wait(), 2)
            return outcome

    failure = asyncio.run(run())
    assert (failure.type, failure.usage_known_zero) == ("timeout", False)
    assert failure.message == "no complete answer within 0.2 s"


@pytest.mark.parametrize("stream", [True, False])
def test_cancelling_closes_the_connection(stream: bool) -> None:
    async def run() -> None:
        asked, gone = asyncio.Event(), asyncio.Event()

        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            if stream:
                await response.prepare(request)
                await response.write(sse(piece("a")))
            asked.set()
            try:
                await asyncio.sleep(60)
            finally:
                gone.set()
            return response

        async with provider(handler) as client:
            task = asyncio.create_task(chat(client, stream=stream))
            await asyncio.wait_for(asked.wait(), 2)
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(gone.wait(), 1)

    asyncio.run(run())


def test_a_provider_that_is_not_there_cannot_have_billed() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def run() -> Answer | Failure:
        async with aiohttp.ClientSession() as session:
            return await chat(client_at(session, f"http://127.0.0.1:{port}/v1/", "vllm"))

    failure = failed(asyncio.run(run()))
    assert (failure.type, failure.usage_known_zero) == ("unavailable", True)
    assert "cannot connect" in failure.message


@pytest.mark.parametrize("url", ["http://", "localhost:8000/v1", "http://127.0.0.1:99999/v1"])
def test_a_base_url_that_cannot_be_dialled_is_a_failure_that_says_so(url: str) -> None:
    async def run() -> Answer | Failure:
        async with aiohttp.ClientSession() as session:
            return await chat(client_at(session, url, "vllm"))

    failure = failed(asyncio.run(run()))
    assert (failure.type, failure.usage_known_zero) == ("unavailable", True)


def test_a_connection_that_breaks_before_the_answer_leaves_the_usage_unknown() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    failure = failed(ask(handler))
    assert (failure.type, failure.usage_known_zero) == ("unavailable", False)


@pytest.mark.parametrize("text", ["", "<html>", '{"choices": [', '{"id": NaN}', "null"])
def test_a_200_that_cannot_be_read_is_a_failure_that_may_have_been_billed(text: str) -> None:
    failure = failed(ask(answering(text=text)))
    assert (failure.type, failure.usage_known_zero) == ("unavailable", False)
    assert "base_url" in failure.message


def test_an_error_status_with_its_retry_after() -> None:
    error = {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}
    failure = failed(ask(answering(429, {"error": error}, **{"Retry-After": "7"})))
    assert failure == Failure("rate_limited", "slow down", "rate_limit_exceeded", 7.0, usage_known_zero=True)


def test_a_redirect_is_not_followed_with_the_key() -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        raise web.HTTPTemporaryRedirect("/elsewhere")

    failure = failed(ask(handler))
    assert failure.type == "unavailable" and "'/elsewhere'" in failure.message
    assert asked == ["/v1/chat/completions"]


def test_keys_that_a_provider_echoes_do_not_leave_the_client() -> None:
    error = {"message": f"Incorrect API key provided: {KEY}, header token-42 " + "x" * 900, "code": "invalid_api_key"}
    failure = failed(ask(answering(401, {"error": error}), {"headers": {"X-Token": "token-42"}}))
    assert failure.message.startswith("Incorrect API key provided: ***, header *** x")
    assert len(failure.message) == 500


def test_a_request_that_the_wire_cannot_say_is_not_dialled() -> None:
    failure = failed(ask(answering(500), messages=[{"role": "tool", "content": "x"}]))
    assert (failure.type, failure.usage_known_zero) == ("invalid_request", True)


def test_embeddings() -> None:
    data = [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": [1, 2]}]

    async def run() -> Answer | Failure:
        async with provider(answering(body={"model": "m-1", "data": data, "usage": {"prompt_tokens": 2}})) as client:
            outcome: Answer | Failure = await client.embed(EmbedRequestV1(input=("a", "b")), "m", timeout_s=5, idempotency_key="k")
            return outcome

    outcome = asyncio.run(run())
    assert isinstance(outcome, Answer) and outcome.embeddings == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize("stream", [True, False])
def test_one_connection_serves_many_calls(stream: bool) -> None:
    peers: set[Any] = set()
    reply = streaming(STREAM) if stream else answering(body=HELLO)

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return await reply(request)

    async def run() -> None:
        async with provider(handler) as client:
            for _ in range(5):
                assert said(await chat(client, stream=stream))

    asyncio.run(run())
    assert len(peers) < 5  # one, unless this machine is so busy that the end of a stream comes late


def test_a_stream_that_says_nothing_any_more_fails_with_what_had_arrived() -> None:
    stalled = failed(ask(streaming(sse(piece("Grü")), then="hold"), {"idle_timeout_s": 0.2}, stream=True))
    assert stalled.type == "timeout" and "0.2 s" in stalled.message
    assert stalled.partial is not None and stalled.partial.all_parts()[0].model_dump()["content"] == "Grü"


def test_a_stream_that_never_begins_fails_before_the_calls_own_timeout() -> None:
    silent = failed(ask(streaming(b"", then="hold"), {"first_token_timeout_s": 0.2}, stream=True))
    assert silent.type == "timeout" and "first bytes" in silent.message and not silent.usage_known_zero


def test_an_embeddings_request_beyond_the_providers_limit_is_asked_in_several_calls() -> None:
    asked: list[int] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        texts = (await request.json())["input"]
        asked.append(len(texts))
        data = [{"index": at, "embedding": [float(len(text))]} for at, text in enumerate(texts)]
        return web.json_response({"model": "e", "data": data, "usage": {"prompt_tokens": len(texts)}})

    async def run() -> Answer | Failure:
        async with provider(handler) as client:
            request = EmbedRequestV1(input=tuple("x" * (1 + number % 300) for number in range(4099)))
            outcome: Answer | Failure = await client.embed(request, "m", timeout_s=20, idempotency_key="k")
            return outcome

    outcome = asyncio.run(run())
    assert isinstance(outcome, Answer) and outcome.embeddings == [[float(1 + number % 300)] for number in range(4099)]
    assert asked == [2048, 2048, 3] and outcome.usage.input_tokens == 4099
