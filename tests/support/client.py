"""Headrace as an outsider sees it: plain nats-py, JSON, and the subjects of the public interface."""

import asyncio
import json
from typing import Any, Self

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from tests.support.canaries import PROMPT
from tests.support.processes import eventually


class Outsider:
    """Publishes requests and hears every result by a plain subscription, present from the beginning."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.nc = Client()
        self.heard: dict[str, list[dict[str, Any]]] = {}
        """By `tenant/id`, each result as often as it was heard."""
        self.sequences: set[int] = set()
        self.reconnects = 0

    async def __aenter__(self) -> Self:
        async def reconnected() -> None:
            self.reconnects += 1

        async def quiet(error: Exception) -> None:
            return None

        self.nc = await nats.connect(
            self.url.split(","), max_reconnect_attempts=-1, reconnect_time_wait=0.02, reconnected_cb=reconnected, error_cb=quiet, pending_size=64 << 20
        )
        self.js = self.nc.jetstream(timeout=10)
        await self.nc.subscribe("llm.v1.result.>", cb=self._hear, pending_msgs_limit=-1, pending_bytes_limit=-1)
        await self.nc.flush()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.nc.close()

    async def _hear(self, message: Msg) -> None:
        tenant, request_id = message.subject.split(".")[3:5]
        self.heard.setdefault(f"{tenant}/{request_id}", []).append(json.loads(message.data))
        self.sequences.add(int((message.headers or {})["Nats-Sequence"]))

    async def request(self, body: Any, tenant: str = "acme", kind: str = "chat", lane: str | None = None, headers: dict[str, str] | None = None) -> int:
        """Publish one request; its sequence in REQUESTS."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        ack = await self.js.publish(f"llm.v1.request.{tenant}.{kind}" + (f".{lane}" if lane else ""), data, headers=headers)
        return ack.seq

    async def ask(self, request_id: str, text: str = "Hello", *, tenant: str = "acme", lane: str | None = None, **fields: Any) -> int:
        """`text` is marked, so that the run tells where it comes out."""
        body = {"id": request_id, "messages": [{"role": "user", "content": f"{text} {PROMPT}"}], **fields}
        return await self.request(body, tenant=tenant, lane=lane)

    async def cancel(self, request_id: str, tenant: str = "acme") -> None:
        await self.js.publish(f"llm.v1.cancel.{tenant}.{request_id}", b'{"reason": "test"}')

    async def result(self, request_id: str, tenant: str = "acme", within_s: float = 20.0) -> dict[str, Any]:
        """The result, heard by subscription. AssertionError where none comes in time."""
        key = f"{tenant}/{request_id}"
        heard = await eventually(lambda: self.heard.get(key), within_s, what=f"a result of {key}")
        return heard[0] if heard else {}

    async def answer(self, request_id: str, text: str = "Hello", *, within_s: float = 20.0, **fields: Any) -> dict[str, Any]:
        """Ask and await the result."""
        await self.ask(request_id, text, **fields)
        return await self.result(request_id, fields.get("tenant", "acme"), within_s)

    async def last_sequence(self, stream: str) -> int:
        return int((await self.js.stream_info(stream)).state.last_seq)

    async def messages(self, stream: str) -> int:
        return int((await self.js.stream_info(stream)).state.messages)

    async def subjects(self, stream: str, pattern: str = ">") -> dict[str, int]:
        found: dict[str, int] | None = (await self.js.stream_info(stream, subjects_filter=pattern)).state.subjects
        return found or {}

    async def stored(self, stream: str, subject: str) -> dict[str, Any] | None:
        """The last message on a subject, as JSON."""
        try:
            message = await self.js.get_last_msg(stream, subject, direct=True)
        except NotFoundError:
            return None
        return dict(json.loads(message.data or b"{}"))

    async def all_stored(self, stream: str, pattern: str = ">") -> list[tuple[int, str, dict[str, Any]]]:
        """Every message of a stream in order: sequence, subject, JSON."""
        subscription = await self.js.subscribe(pattern, stream=stream, ordered_consumer=True)
        found: list[tuple[int, str, dict[str, Any]]] = []
        while True:
            try:
                message = await subscription.next_msg(timeout=0.7)
            except (TimeoutError, nats.errors.TimeoutError):
                break
            found.append((message.metadata.sequence.stream, message.subject, json.loads(message.data)))
        await subscription.unsubscribe()
        return found

    async def read_missed(self) -> int:
        """Read from RESULTS what went by while the server was away, by the gaps in `Nats-Sequence`; how many there were."""
        missed = sorted(set(range(1, await self.last_sequence("RESULTS") + 1)) - self.sequences)
        for sequence in missed:
            message = await self.js.get_msg("RESULTS", sequence, direct=True)
            tenant, request_id = (message.subject or "").split(".")[3:5]
            self.heard.setdefault(f"{tenant}/{request_id}", []).append(json.loads(message.data or b""))
            self.sequences.add(sequence)
        return len(missed)

    async def idle(self, durable: str, stream: str, within_s: float = 60.0) -> None:
        """Wait until a durable has handled all there is."""

        async def done() -> bool:
            info = await self.js.consumer_info(stream, durable)
            return not info.num_pending and not info.num_ack_pending

        await eventually(done, within_s, 0.2, what=f"{durable} idle")

    async def silence(self, seconds: float) -> None:
        """For what must not happen: there is nothing to wait for but time."""
        await asyncio.sleep(seconds)
