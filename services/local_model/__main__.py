"""`python -m services.local_model --port P`: serves until SIGTERM; prints {"port": N} when ready."""

import argparse
import asyncio
import json
import os
import signal
import sys

from aiohttp import web

from .front import front
from .parts import Missing, check, load_wordllama, start_llama


async def serve(port: int, context: int, slots: int) -> None:
    """Starts both models and the front; returns after SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    llama, embedder = await asyncio.gather(asyncio.to_thread(start_llama, context, slots), asyncio.to_thread(load_wordllama))
    runner = web.AppRunner(front(llama.listening_address, embedder), access_log=None, shutdown_timeout=1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    sys.stdout.write(json.dumps({"port": runner.addresses[0][1]}) + "\n")
    sys.stdout.flush()
    await stop.wait()
    await runner.cleanup()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m services.local_model", description="A small real model behind http://127.0.0.1:PORT/v1")
    parser.add_argument("--port", type=int, default=18089, help="0 takes a free one")
    parser.add_argument("--context", type=int, default=4096, help="tokens, shared by the slots")
    parser.add_argument("--slots", type=int, default=2, help="answers made at the same time")
    options = parser.parse_args()
    try:
        check()
        asyncio.run(serve(options.port, options.context, options.slots))
    except (Missing, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # llama.cpp's threads may be in the middle of an answer; nothing of theirs needs to be kept
