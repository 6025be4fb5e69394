"""Liveness and readiness of one process over HTTP, for whoever supervises it; each answer is tried out when it is asked for."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import nats.errors
from aiohttp import web

if TYPE_CHECKING:
    from bus.application import Application

PORT = "HEADRACE_PROBE_PORT"
ROUND_TRIP_S = 2.0
SILENT_S = 10.0
"""The server says something each second to who waits for messages; an election takes less than this."""


class BadPort(ValueError):
    """HEADRACE_PROBE_PORT cannot be used; the text says why."""


def why_not_alive(application: "Application") -> str | None:
    """What only a restart mends. A bus that is away is not: it comes back, and restarted processes would not help it."""
    if application.fault is not None:
        return application.fault
    if application.bus.nc.is_closed and not application.stopping:
        return "the connection to NATS is closed for good"
    return None


async def why_not_ready(application: "Application") -> str | None:
    """What keeps this process from doing its work now, tried by a round trip to the server."""
    if application.stopping:
        return "stopping"
    if not application.ready.is_set():
        return "starting: waits for NATS, for a configuration ('headrace config push'), or for what it opens"
    if not application.bus.nc.is_connected:
        return "not connected to NATS"
    try:
        await asyncio.wait_for(application.bus.nc.flush(), ROUND_TRIP_S)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        return f"NATS does not answer: {error!r}"
    silent = [worker.consumer.durable for worker in application.workers if worker.silent_s > SILENT_S]
    return f"nothing is heard from the consumers {silent}" if silent else None


@asynccontextmanager
async def probes(application: "Application", port: str | None = None) -> AsyncIterator[int | None]:
    """Answer `/livez` and `/readyz` (200, or 503 with the reason) while the block runs; no port, no server. Raises BadPort."""
    wanted = os.environ.get(PORT) if port is None else port
    if not wanted:
        yield None
        return

    async def live(_: web.Request) -> web.Response:
        return _answer(why_not_alive(application))

    async def ready(_: web.Request) -> web.Response:
        return _answer(why_not_alive(application) or await why_not_ready(application))

    app = web.Application()
    app.add_routes([web.get("/livez", live), web.get("/readyz", ready)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, port=_number(wanted))
        try:
            await site.start()
        except OSError as error:
            raise BadPort(f"{PORT} is {wanted!r}: {error.strerror or error}; choose a free port") from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _answer(why_not: str | None) -> web.Response:
    return web.Response(status=503 if why_not else 200, text=f"{why_not or 'ok'}\n")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 1 << 16):
        raise BadPort(f"{PORT} is {text!r}: give a port number, 0 to 65535")
    return int(text)
