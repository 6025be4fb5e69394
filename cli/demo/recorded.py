"""A provider with a price: a small HTTP server that answers one recorded body, and lists two models."""

from typing import Any

from aiohttp import web

TEXT = "NATS is a connective technology for distributed systems."
RECORDED: dict[str, Any] = {
    "id": "chatcmpl-recorded",
    "object": "chat.completion",
    "created": 1764000000,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT, "refusal": None}, "logprobs": None, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 1200,
        "completion_tokens": 310,
        "total_tokens": 1510,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    },
    "service_tier": "default",
}


async def _answer(_: web.Request) -> web.Response:
    return web.json_response(RECORDED)


async def _list(_: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in ("gpt-4o", "gpt-4o-mini")]})


async def serve(port: int) -> web.AppRunner:
    """Serve on loopback until the runner is cleaned up."""
    application = web.Application()
    application.router.add_post("/v1/chat/completions", _answer)
    application.router.add_get("/v1/models", _list)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner
