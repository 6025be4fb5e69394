"""The floor: four durable hops (request, routed, adapted, result), each one decode, one encode, one publish, one ack. No rules, no journal, no ledger.

Run as `python -m bench.floor ROLE NATS_URL [PROVIDER_URL]`; ROLE is router, adapters or validator.
"""

import asyncio
import signal
import sys

import aiohttp
import nats
import uvloop
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, RetentionPolicy, StreamConfig
from pydantic_core import from_json, to_json

from bench.lean import LeanConsumer, LeanPublisher
from bench.payload import Document

HOPS = {"router": ("REQ", "routed"), "adapters": ("ROUTED", "adapted"), "validator": ("ADAPTED", "res")}
STREAMS = {"REQ": "req", "ROUTED": "routed", "ADAPTED": "adapted", "RES": "res"}
CONSUMERS = {"REQ": "router", "ROUTED": "adapters", "ADAPTED": "validator", "RES": "driver"}


async def provision(url: str) -> None:
    """The floor's streams and durables: work queues on file storage."""
    nc = await nats.connect(url)
    js = nc.jetstream()
    for stream, token in STREAMS.items():
        await js.add_stream(StreamConfig(name=stream, subjects=[f"{token}.>"], retention=RetentionPolicy.WORK_QUEUE))
        await js.add_consumer(stream, ConsumerConfig(durable_name=CONSUMERS[stream], max_ack_pending=-1, ack_wait=30))
    await nc.close()


async def serve(role: str, url: str, provider_url: str | None) -> None:
    """One hop, until SIGTERM."""
    nc = await nats.connect(url)
    publisher = LeanPublisher(nc)
    await publisher.start()
    stream, onward = HOPS[role]
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) if provider_url and role == "adapters" else None
    running: set[asyncio.Task[None]] = set()

    async def handle(message: Msg) -> None:
        document = Document.model_validate_json(message.data)
        document.metadata[role] = "ok"
        if session is not None:
            await _ask(session, f"{provider_url}/chat/completions", document)
        await publisher.publish(f"{onward}.{document.id}", document.model_dump_json().encode(), {"Nats-Msg-Id": f"{role}:{document.id}"})
        await message.ack()

    async def take(message: Msg) -> None:
        task = asyncio.create_task(handle(message))
        running.add(task)
        task.add_done_callback(running.discard)

    await LeanConsumer(nc, stream, role, take).start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print('"event":"ready"', flush=True)
    await stopped.wait()
    if session is not None:
        await session.close()
    await nc.close()


async def _ask(session: aiohttp.ClientSession, url: str, document: Document) -> None:
    """The HTTP call that the adapters make, with the least around it."""
    body = {"model": "small", "messages": [{"role": turn.role, "content": turn.content} for turn in document.messages], "temperature": 0.2, "max_tokens": 256}
    headers = {"Content-Type": "application/json", "Idempotency-Key": document.id}
    async with session.post(url, data=to_json(body), headers=headers) as response:
        answer = from_json(await response.read())
    document.metadata["answer"] = answer["choices"][0]["message"]["content"]


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None))
