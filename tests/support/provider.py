"""A provider of our own: OpenAI's chat completions and embeddings over real HTTP, scripted by markers, with a log of every call."""

import argparse
import asyncio
import base64
import hashlib
import json
import os
import signal
import struct
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.support.behaviour import Behaviour, Script
from tests.support.canaries import ANSWER, saw

MAX_BODY_BYTES = 64 << 20


class CallLog:
    """One JSON line when a call begins and one when it ends; a line is one write, so that a reader never sees half of one."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, **facts: Any) -> None:
        os.write(self._file, (json.dumps({"at": time.time(), **facts}) + "\n").encode())

    def close(self) -> None:
        os.close(self._file)


class Provider:
    """Answers every call with tokens that depend on the prompt and the call id, so that no two rows of a ledger look alike by chance."""

    def __init__(self, log: Path, delay_s: float = 0.0) -> None:
        self.log, self.delay_s, self.script = CallLog(log), delay_s, Script()
        self.port = self.looks = 0
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self, port: int = 0) -> None:
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.add_routes([web.post("/v1/chat/completions", self._chat), web.post("/v1/embeddings", self._embed), web.get("/v1/models", self._models)])
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, backlog=1024)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Once or more often."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            self.log.close()

    async def _models(self, request: web.Request) -> web.Response:
        """Free, so not in the log of calls."""
        self.looks += 1
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in ("small", "free", "embed", "unused")]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        return await self._logged(request, body, _last_user_text(body["messages"]), self._chat_answer)

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        return await self._logged(request, body, "\n".join(body["input"]), self._embed_answer)

    async def _logged(self, request: web.Request, body: dict[str, Any], prompt: str, answer: Any) -> web.StreamResponse:
        call_id = request.headers.get("Idempotency-Key", "")
        for text in _texts(body):
            saw("prompt", text)
        saw("key", request.headers.get("Authorization", "").removeprefix("Bearer "))
        facts = {
            "call_id": call_id,
            "prompt_sha256": hashlib.sha256(prompt.encode()).hexdigest(),
            "input_tokens": 10 + _number(prompt) % 90,
            "output_tokens": 1 + _number(call_id) % 50,
            "model": body["model"],
        }
        self.log.write(event="begin", **facts)
        status: int | str = "gone"
        try:
            behaviour = self.script.behaviour(prompt, body["model"])
            await self._wait(behaviour)
            response: web.StreamResponse = await self._refuse(behaviour) or await answer(request, body, prompt, behaviour, facts)
            status = response.status
            return response
        except ConnectionAbortedError:
            status = "cut"
            raise
        finally:
            self.log.write(event="end", status=status, **facts)

    async def _wait(self, behaviour: Behaviour) -> None:
        if behaviour.stall:
            await asyncio.Event().wait()
        await asyncio.sleep(self.delay_s if behaviour.delay_s is None else behaviour.delay_s)

    async def _refuse(self, behaviour: Behaviour) -> web.Response | None:
        if behaviour.status is None:
            return None
        headers = {"Retry-After": behaviour.retry_after} if behaviour.retry_after else {}
        error = {"message": f"the script says {behaviour.status}", "type": "scripted", "code": None}
        return web.json_response({"error": error}, status=behaviour.status, headers=headers)

    async def _chat_answer(self, request: web.Request, body: dict[str, Any], prompt: str, behaviour: Behaviour, facts: dict[str, Any]) -> web.StreamResponse:
        answered = [message["content"] for message in body["messages"][-1:] if message["role"] == "tool"]
        said = f"The tool said {answered[0]}." if answered else f"You said {facts['prompt_sha256'][:12]}. {ANSWER}"
        text = behaviour.text if behaviour.text is not None else said
        saw("answer", text)
        if body.get("stream"):
            return await self._stream(request, body, text, behaviour, facts)
        if behaviour.cut is not None:
            _cut(request)
        if behaviour.garbage:
            return web.Response(text='{"choices": [', content_type="application/json")
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": behaviour.finish_reason}
        if behaviour.tool and not answered:
            choice = {"index": 0, "message": _tool_call(behaviour.tool), "finish_reason": "tool_calls"}
        head = {"id": "chatcmpl-" + facts["call_id"].replace("/", "-"), "object": "chat.completion", "created": int(time.time()), "model": body["model"]}
        return web.json_response({**head, "choices": [choice], "usage": _usage(facts, behaviour.cached)})

    async def _stream(self, request: web.Request, body: dict[str, Any], text: str, behaviour: Behaviour, facts: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": int(time.time()), "model": body["model"]}

        async def send(delta: dict[str, Any], finish_reason: str | None = None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
            await response.write(b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n")

        await send({"role": "assistant", "content": ""})
        for index, start in enumerate(range(0, len(text), 4)):
            if behaviour.cut == index:
                _cut(request)
            await send({"content": text[start : start + 4]})
            await asyncio.sleep(behaviour.pace_s)
        await send({}, behaviour.finish_reason)
        if (body.get("stream_options") or {}).get("include_usage"):
            await response.write(b"data: " + json.dumps({**head, "choices": [], "usage": _usage(facts, behaviour.cached)}).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _embed_answer(self, request: web.Request, body: dict[str, Any], prompt: str, behaviour: Behaviour, facts: dict[str, Any]) -> web.StreamResponse:
        if behaviour.cut is not None:
            _cut(request)
        dimensions = body.get("dimensions") or behaviour.dimensions
        rows = [[float((_number(text) >> index) % 7) for index in range(dimensions)] for text in body["input"]]
        as_base64 = body.get("encoding_format") == "base64"
        data = [{"object": "embedding", "index": index, "embedding": _base64(row) if as_base64 else row} for index, row in enumerate(rows)]
        usage = {"prompt_tokens": facts["input_tokens"], "total_tokens": facts["input_tokens"]}
        return web.json_response({"object": "list", "data": data, "model": body["model"], "usage": usage})


def _cut(request: web.Request) -> None:
    """Break the connection as a crashed provider would."""
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionAbortedError("the script says cut")


def _tool_call(tool: str) -> dict[str, Any]:
    name, _, arguments = tool.partition(" ")
    call = {"id": "call-1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _usage(facts: dict[str, Any], cached: int | None) -> dict[str, Any]:
    prompt, completion = facts["input_tokens"], facts["output_tokens"]
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return usage if cached is None else {**usage, "prompt_tokens_details": {"cached_tokens": cached}}


def _texts(body: dict[str, Any]) -> list[str]:
    contents = [message.get("content") or "" for message in body.get("messages", [])]
    parts = [part.get("text", "") for content in contents if isinstance(content, list) for part in content]
    return [*(content for content in contents if isinstance(content, str)), *parts, *body.get("input", [])]


def _last_user_text(messages: list[dict[str, Any]]) -> str:
    """The first user message after the last system one would hide repair turns: take the last one of the user."""
    content = next((message["content"] for message in reversed(messages) if message["role"] == "user"), "")
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _base64(row: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode()


async def serve(port: int, log: Path, delay_s: float) -> None:
    """Serve until SIGTERM; prints `{"port": N}` when it listens."""
    provider = Provider(log, delay_s)
    await provider.start(port)
    print(json.dumps({"port": provider.port}), flush=True)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await provider.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer, unless a marker says otherwise")
    options = parser.parse_args()
    asyncio.run(serve(options.port, options.log, options.delay))


if __name__ == "__main__":
    main()
