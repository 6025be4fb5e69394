"""One base URL for both models: chat is passed on to llama.cpp, streams as they come; embeddings are answered here."""

import asyncio
import json
from typing import Any

import aiohttp
from aiohttp import web

from .embeddings import Refused, embed
from .parts import CHAT_MODEL, EMBEDDING_MODEL

MAX_BODY = 64 << 20


def front(upstream: str, embedder: Any) -> web.Application:
    """The application; `upstream` is llama.cpp's address, `embedder` a WordLlama."""
    routes = Front(upstream, embedder)
    app = web.Application(client_max_size=MAX_BODY)
    app.cleanup_ctx.append(routes.session)
    app.add_routes(
        [
            web.post("/v1/chat/completions", routes.chat),
            web.post("/v1/embeddings", routes.embeddings),
            web.get("/v1/models", routes.models),
            web.get("/health", routes.health),
        ]
    )
    return app


class Front:
    def __init__(self, upstream: str, embedder: Any) -> None:
        self._upstream, self._embedder = upstream, embedder
        self._client: aiohttp.ClientSession
        self._one_at_a_time = asyncio.Lock()

    async def session(self, _: web.Application) -> Any:
        """Opens the client session with the application and closes it with it."""
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as self._client:
            yield

    async def models(self, _: web.Request) -> web.Response:
        names = (CHAT_MODEL, EMBEDDING_MODEL)
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model", "owned_by": "local"} for name in names]})

    async def health(self, _: web.Request) -> web.Response:
        async with self._client.get(f"{self._upstream}/health") as answer:
            return web.json_response({"status": "ok" if answer.status == 200 else "loading"}, status=answer.status)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Passed on byte by byte. When the caller leaves, the connection to llama.cpp is closed and its slot is free again."""
        raw = await request.read()
        if (refusal := _refusal(raw, CHAT_MODEL)) is not None:
            return refusal
        try:
            async with self._client.post(f"{self._upstream}/v1/chat/completions", data=raw, headers={"Content-Type": "application/json"}) as answer:
                return await _passed_on(request, answer)
        except aiohttp.ClientError as error:
            return _error(503, f"the model does not answer: {type(error).__name__}", "unavailable_error")

    async def embeddings(self, request: web.Request) -> web.Response:
        raw = await request.read()
        if (refusal := _refusal(raw, EMBEDDING_MODEL)) is not None:
            return refusal
        try:
            async with self._one_at_a_time:
                return web.json_response(await asyncio.to_thread(embed, self._embedder, json.loads(raw)))
        except Refused as error:
            return _error(400, str(error), "invalid_request_error")


async def _passed_on(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers.get("Content-Type", "application/json")})
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


def _refusal(raw: bytes, model: str) -> web.Response | None:
    """llama.cpp would answer under any model name."""
    try:
        body = json.loads(raw)
    except ValueError:
        return _error(400, "the body is not JSON", "invalid_request_error")
    named = body.get("model") if isinstance(body, dict) else None
    if named != model:
        return _error(404, f"the model {named!r} does not exist here; use {model!r}", "invalid_request_error", "model_not_found")
    return None


def _error(status: int, message: str, kind: str, code: str | None = None) -> web.Response:
    return web.json_response({"error": {"message": message, "type": kind, "param": None, "code": code}}, status=status)
