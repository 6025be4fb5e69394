"""CPU of one call by each protocol, ours beside the provider's own SDK: the same server, the same run, the same answers."""

import asyncio
import json
import multiprocessing
import struct
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from contracts.config import ProviderV1
from contracts.request import ChatRequestV1
from services.adapters.clients import client_of
from services.adapters.protocol import Answer

PIECES = 200
"""Deltas of a streamed answer."""
WORDS = [f"word {number} " for number in range(PIECES)]
PROMPT = "hello " * 100
MODELS = {
    "openai": "gpt-4o",
    "openai_responses": "gpt-4o",
    "anthropic": "claude-opus-4-6",
    "bedrock": "us.anthropic.claude-opus-4-6-v1",
    "gemini": "gemini-2.5-flash",
    "cohere": "command-a-03-2025",
}
ENVIRON = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "AWS_REGION": "us-east-1",
    "KEY": "key-of-nobody",
}
Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Recorded:
    """What the server answers for one protocol."""

    whole: dict[str, Any]
    stream: bytes
    content_type: str = "text/event-stream"


def _sse(events: list[dict[str, Any]], *, named: bool = False, end: str = "") -> bytes:
    return ("".join((f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n" for event in events) + end).encode()


def _openai() -> Recorded:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    choices: list[dict[str, Any]] = [{"index": 0, "delta": {"content": word}, "finish_reason": None} for word in WORDS]
    events = [{**head, "choices": [choice]} for choice in [*choices, {"index": 0, "delta": {}, "finish_reason": "stop"}]]
    whole = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    return Recorded(
        {**head, "object": "chat.completion", "choices": [whole], "usage": usage},
        _sse([*events, {**head, "choices": [], "usage": usage}], end="data: [DONE]\n\n"),
    )


def _responses() -> Recorded:
    usage = {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 8,
    }
    place = {"item_id": "m1", "output_index": 0, "content_index": 0}
    response = {"id": "r1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-4o", "error": None, "incomplete_details": None}

    def item(text: str) -> dict[str, Any]:
        content = {"type": "output_text", "text": text, "annotations": []}
        return {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": [content]}

    said = "".join(WORDS)
    begin: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item(""), "content": []}},
    ]
    deltas: list[dict[str, Any]] = [{"type": "response.output_text.delta", **place, "delta": word, "logprobs": []} for word in WORDS]
    end: list[dict[str, Any]] = [
        {"type": "response.output_text.done", **place, "text": said, "logprobs": []},
        {"type": "response.output_item.done", "output_index": 0, "item": item(said)},
        {"type": "response.completed", "response": {**response, "output": [item(said)], "usage": usage}},
    ]
    events: list[dict[str, Any]] = [{**event, "sequence_number": number} for number, event in enumerate([*begin, *deltas, *end])]
    return Recorded({**response, "output": [item("hi")], "usage": usage}, _sse(events, named=True))


def _anthropic() -> Recorded:
    usage = {"input_tokens": 3, "output_tokens": 5}
    message = {"id": "m1", "type": "message", "role": "assistant", "model": "claude", "stop_sequence": None, "usage": usage}
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    begin: list[dict[str, Any]] = [{"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}, start]
    deltas: list[dict[str, Any]] = [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in WORDS]
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 5}}
    events: list[dict[str, Any]] = [*begin, *deltas, {"type": "content_block_stop", "index": 0}, end, {"type": "message_stop"}]
    return Recorded({**message, "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn"}, _sse(events, named=True))


def _bedrock() -> Recorded:
    closing = {"usage": {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8}, "metrics": {"latencyMs": 1}}
    deltas = [_framed("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}}) for word in WORDS]
    events = [_framed("messageStart", {"role": "assistant"}), *deltas, _framed("messageStop", {"stopReason": "end_turn"}), _framed("metadata", closing)]
    whole = {"output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}}, "stopReason": "end_turn", **closing}
    return Recorded(whole, b"".join(events), "application/vnd.amazon.eventstream")


def _framed(kind: str, data: dict[str, Any]) -> bytes:
    """A message of an AWS event stream."""
    named = ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event"))
    headers = b"".join(bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode() for name, value in named)
    payload = json.dumps(data).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


def _gemini() -> Recorded:
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 8}
    parts = [{"candidates": [{"content": {"role": "model", "parts": [{"text": word}]}, "index": 0}], "usageMetadata": usage} for word in WORDS]
    last = {"candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP", "index": 0}], "usageMetadata": usage}
    return Recorded(last, _sse([*parts, last]))


def _cohere() -> Recorded:
    usage = {"billed_units": {"input_tokens": 3, "output_tokens": 5}, "tokens": {"input_tokens": 3, "output_tokens": 5}}
    begin: list[dict[str, Any]] = [
        {"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}}},
        {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
    ]
    deltas: list[dict[str, Any]] = [{"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": word}}}} for word in WORDS]
    end: list[dict[str, Any]] = [{"type": "content-end", "index": 0}, {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": usage}}]
    message = {"role": "assistant", "content": [{"type": "text", "text": "hi"}]}
    return Recorded({"id": "c1", "finish_reason": "COMPLETE", "message": message, "usage": usage}, _sse([*begin, *deltas, *end], named=True))


ANSWERS: dict[str, Callable[[], Recorded]] = {
    "openai": _openai,
    "openai_responses": _responses,
    "anthropic": _anthropic,
    "bedrock": _bedrock,
    "gemini": _gemini,
    "cohere": _cohere,
}


def _serve(port: "multiprocessing.Queue[int]") -> None:
    answers = {name: make() for name, make in ANSWERS.items()}

    async def answer(request: web.Request) -> web.Response:
        recorded = answers[request.match_info["name"]]
        body = await request.read()
        if request.path.endswith(("converse-stream", ":streamGenerateContent")) or b'"stream":true' in body.replace(b" ", b""):
            return web.Response(body=recorded.stream, content_type=recorded.content_type)
        return web.json_response(recorded.whole)

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/{name}/{rest:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port.put(int(runner.addresses[0][1]))
        await asyncio.Event().wait()

    asyncio.run(run())


def _ours(session: aiohttp.ClientSession, url: str, name: str, *, stream: bool) -> Call:
    given: dict[str, Any] = {"id": name, "type": name, "base_url": f"{url}/{name}", "models": [{"id": MODELS[name]}]}
    if name != "bedrock":
        given["api_key"] = "${KEY}"
    client = client_of(ProviderV1.model_validate(given), session, ENVIRON)
    request = ChatRequestV1.model_validate({"messages": [{"role": "user", "content": PROMPT}], "sampling": {"max_output_tokens": 100}, "stream": stream})

    async def call() -> None:
        outcome = await client.chat(request, MODELS[name], timeout_s=30, idempotency_key="bench", on_delta=lambda _: None)
        if not isinstance(outcome, Answer):
            raise RuntimeError(f"{name}: {outcome}")

    return call


@asynccontextmanager
async def _sdk(url: str, name: str, *, stream: bool) -> AsyncIterator[Call]:
    """The SDK's way to the same answer: all pieces of a stream read, as a caller would."""
    messages: Any = [{"role": "user", "content": PROMPT}]
    asked: Any = {"model": MODELS[name], "messages": messages, "max_tokens": 100, "stream": stream}
    if name == "openai":
        import openai

        async with openai.AsyncOpenAI(base_url=f"{url}/{name}", api_key="nobody", max_retries=0) as chat:
            yield lambda: _read(chat.chat.completions.create(**asked), stream=stream)
    elif name == "openai_responses":
        import openai

        response: Any = {"model": MODELS[name], "input": messages, "max_output_tokens": 100, "stream": stream}
        async with openai.AsyncOpenAI(base_url=f"{url}/{name}", api_key="nobody", max_retries=0) as responses:
            yield lambda: _read(responses.responses.create(**response), stream=stream)
    elif name == "anthropic":
        import anthropic

        async with anthropic.AsyncAnthropic(base_url=f"{url}/{name}", api_key="nobody", max_retries=0, open_telemetry=False) as claude:
            yield lambda: _read(claude.messages.create(**asked), stream=stream)
    elif name == "gemini":
        from google import genai

        google = genai.Client(api_key="nobody", http_options={"base_url": f"{url}/{name}"}).aio
        ask: Any = google.models.generate_content_stream if stream else google.models.generate_content
        yield lambda: _read(ask(model=MODELS[name], contents=PROMPT), stream=stream)
        await google.aclose()
    elif name == "cohere":
        import cohere

        async with cohere.AsyncClientV2(api_key="nobody", base_url=f"{url}/{name}") as command:
            told: Any = {"model": MODELS[name], "messages": messages, "max_tokens": 100}
            yield lambda: _told(command, told, stream=stream)
    else:
        yield _botocore(f"{url}/{name}", stream=stream)


async def _told(command: Any, asked: dict[str, Any], *, stream: bool) -> None:
    """Cohere's SDK streams by a method of its own."""
    if not stream:
        await command.chat(**asked)
        return
    async for _ in command.chat_stream(**asked):
        pass


async def _read(answer: Awaitable[Any], *, stream: bool) -> None:
    found = await answer
    if stream:
        async for _ in found:
            pass


def _botocore(url: str, *, stream: bool) -> Call:
    """AWS has no asynchronous SDK: this one blocks, which its CPU time does not show."""
    from botocore.session import Session

    keys = {"aws_access_key_id": ENVIRON["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": ENVIRON["AWS_SECRET_ACCESS_KEY"]}
    client: Any = Session().create_client("bedrock-runtime", region_name="us-east-1", endpoint_url=url, **keys)
    asked = {"modelId": MODELS["bedrock"], "messages": [{"role": "user", "content": [{"text": PROMPT}]}], "inferenceConfig": {"maxTokens": 100}}

    async def call() -> None:
        if stream:
            list(client.converse_stream(**asked)["stream"])
        else:
            client.converse(**asked)

    return call


async def _cpu_ms(call: Call, calls: int) -> float:
    """The least of three rounds: what else runs on the machine only adds."""
    await call()
    rounds = []
    for _ in range(3):
        began = time.process_time()
        for _ in range(calls):
            await call()
        rounds.append((time.process_time() - began) / calls * 1000)
    return round(min(rounds), 3)


async def _compared(url: str) -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, float]] = {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for name in ANSWERS:
            for kind, stream, calls in (("whole", False, 150), ("stream", True, 30)):
                ours = await _cpu_ms(_ours(session, url, name, stream=stream), calls)
                async with _sdk(url, name, stream=stream) as call:
                    sdk = await _cpu_ms(call, calls)
                figures[f"{name} {kind}"] = {"ours_ms": ours, "sdk_ms": sdk, "ratio": round(ours / sdk, 2)}
    return figures


def protocols() -> dict[str, Any]:
    """CPU milliseconds a call, by protocol, whole and streamed."""
    context = multiprocessing.get_context("spawn")
    port: multiprocessing.Queue[int] = context.Queue()
    server = context.Process(target=_serve, args=(port,), daemon=True)
    server.start()
    try:
        return {"cpu_a_call": asyncio.run(_compared(f"http://127.0.0.1:{port.get(timeout=60)}"))}
    finally:
        server.terminate()
        server.join(10)


if __name__ == "__main__":
    for what, measured in protocols()["cpu_a_call"].items():
        print(f"{what:18} ours {measured['ours_ms']:7.3f} ms   SDK {measured['sdk_ms']:7.3f} ms   ratio {measured['ratio']:.2f}")
