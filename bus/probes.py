"""Liveness, readiness and metrics of one process over HTTP, for whoever supervises it; each answer is tried out when it is asked for."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from bus.configuration import STREAM, SUBJECT
from bus.errors import Unavailable
from observability.exporting import exposition

if TYPE_CHECKING:
    from bus.application import Application

PORT = "HEADRACE_PROBE_PORT"
CONFIGURATION = f"$JS.API.DIRECT.GET.{STREAM}.{SUBJECT}"
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
    try:  # a read that JetStream answers; not a flush: in nats-py a PONG that comes after its timeout ends the reading of the connection
        await application.bus.request(CONFIGURATION, b"", timeout_s=ROUND_TRIP_S)
    except Unavailable as error:
        return f"NATS does not answer: {error}"
    silent = [worker.consumer.durable for worker in application.workers if worker.silent_s > SILENT_S]
    return f"nothing is heard from the consumers {silent}" if silent else None


@asynccontextmanager
async def probes(application: "Application", port: str | None = None) -> AsyncIterator[None]:
    """Answer `/livez` and `/readyz` (200, or 503 with the reason) and `/metrics` while the block runs; no port, no server. Raises BadPort."""
    wanted = os.environ.get(PORT) if port is None else port
    if not wanted:
        yield
        return

    async def live(_: web.Request) -> web.Response:
        return _answer(why_not_alive(application))

    async def ready(_: web.Request) -> web.Response:
        return _answer(why_not_alive(application) or await why_not_ready(application))

    app = web.Application()
    app.add_routes([web.get("/livez", live), web.get("/readyz", ready), web.get("/metrics", _metrics)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, port=_number(wanted))
        try:
            await site.start()
        except OSError as error:
            raise BadPort(f"{PORT} is {wanted!r}: {error.strerror or error}; choose a free port") from error
        yield
    finally:
        await runner.cleanup()


async def _metrics(_: web.Request) -> web.Response:
    text = await asyncio.to_thread(exposition)
    if text is None:
        return web.Response(status=404, text="no metrics are recorded: OTEL_SDK_DISABLED or OTEL_METRICS_EXPORTER=none switches them off\n")
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answer(why_not: str | None) -> web.Response:
    return web.Response(status=503 if why_not else 200, text=f"{why_not or 'ok'}\n")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 16):
        raise BadPort(f"{PORT} is {text!r}: give a port number, 1 to 65535")
    return int(text)
