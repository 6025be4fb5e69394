"""A collector that takes all that it is sent and looks at none of it. Prints its port; for the bench only."""

import asyncio
import signal

import uvloop
from aiohttp import web


async def serve() -> None:
    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=b"", content_type="application/x-protobuf")

    application = web.Application(client_max_size=64 << 20)
    application.add_routes([web.post("/{path:.*}", take)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"port {runner.addresses[0][1]}", flush=True)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve())
