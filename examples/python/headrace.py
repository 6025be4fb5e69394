"""Headrace over a plain NATS connection: send a request, show its deltas, read its result."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
from deltas import InOrder
from nats.aio.client import Client
from nats.js.errors import NotFoundError

LOOK_AGAIN_S = 5
"""A result may go by while the connection is away: look into the stream now and then."""
PAGE = 256

Json = dict[str, Any]


class Headrace:
    """One tenant and lane. Errors are those of nats-py, and ValueError for what the schema forbids."""

    def __init__(self, connection: Client, tenant: str, lane: str, schema: Path) -> None:
        self.connection, self.streams, self.tenant = connection, connection.jetstream(), tenant
        self.requests = f"llm.v1.request.{tenant}.chat.{lane}"
        self.validator = jsonschema_rs.validator_for(json.loads(schema.read_text()), validate_formats=True)

    def subject(self, what: str, request_id: str) -> str:
        return f"llm.v1.{what}.{self.tenant}.{request_id}"

    def check(self, request: Json) -> None:
        """Raises ValueError before anything is sent when the schema forbids the request."""
        try:
            self.validator.validate(request)
        except jsonschema_rs.ValidationError as error:
            raise ValueError(f"not sent: {'.'.join(map(str, error.instance_path)) or 'request'}: {error.message}") from None

    async def send(self, request: Json) -> str:
        """Send a request, await the ack that it is stored, return its id. With an id of its own it may be sent again: that changes nothing."""
        ack = await self.streams.publish(self.requests, json.dumps(request).encode())
        return request.get("id") or f"seq-{ack.seq}"

    async def result(self, request_id: str) -> Json:
        """The result: heard by a core subscription, or read by direct get where it came before."""
        subject = self.subject("result", request_id)
        subscription = await self.connection.subscribe(subject, max_msgs=1)
        await self.connection.flush()
        while True:
            try:
                stored = await self.streams.get_last_msg("RESULTS", subject, direct=True)
                await subscription.unsubscribe()
                return json.loads(stored.data)
            except NotFoundError:
                pass
            try:
                return json.loads((await subscription.next_msg(timeout=LOOK_AGAIN_S)).data)
            except TimeoutError:
                continue

    async def streamed(self, request_id: str, show: Callable[[str], None]) -> Json:
        """Show a streamed answer while it comes, those pieces first that the stream DELTAS still holds; return the result."""
        shown = InOrder(show)
        subscription = await self.connection.subscribe(self.subject("delta", request_id))
        await self.connection.flush()

        async def follow() -> None:
            for delta in await self.stored_deltas(request_id):
                shown.take(delta)
            async for message in subscription.messages:
                shown.take(json.loads(message.data))

        following = asyncio.create_task(follow())
        result = await self.result(request_id)
        await subscription.drain()
        await following
        shown.finish(result)
        return result

    async def stored_deltas(self, request_id: str) -> list[Json]:
        found: list[Json] = []
        seq, full = 1, True
        while full:
            page, seq = await self._page("DELTAS", seq, self.subject("delta", request_id))
            found += page
            full = len(page) == PAGE
        return found

    async def _page(self, stream: str, seq: int, subject: str) -> tuple[list[Json], int]:
        """Messages of one subject from a sequence on, by batched direct get, and the sequence to go on with."""
        inbox = self.connection.new_inbox()
        answers = await self.connection.subscribe(inbox)
        question = json.dumps({"seq": seq, "next_by_subj": subject, "batch": PAGE}).encode()
        await self.connection.publish(f"$JS.API.DIRECT.GET.{stream}", question, reply=inbox)
        page: list[Json] = []
        while True:
            message = await answers.next_msg(timeout=5)
            headers = message.headers or {}
            if "Status" in headers:  # 204: the end of the page; 404: there is none
                await answers.unsubscribe()
                return page, seq
            page.append(json.loads(message.data))
            seq = int(headers["Nats-Sequence"]) + 1
