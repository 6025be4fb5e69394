"""An indexer on a server of its own, spoken to by the subjects of the public interface."""

import asyncio
import json
import re
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.client import Outsider
from tests.support.processes import eventually
from tests.support.stack import Stack, configuration

NOW = "2026-11-21T12:00:00Z"


class Library:
    """Publishes documents and results, and asks the indexer."""

    def __init__(self, stack: Stack, outsider: Outsider) -> None:
        self.stack, self.outsider = stack, outsider

    async def put(self, document_id: str, content: str | None, *, tenant: str = "acme", collection: str = "c", **fields: Any) -> int:
        """Publish a document, or with content None its deletion; its sequence."""
        body = {"id": document_id, "operation": "upsert" if content is not None else "delete", "content": content, **fields}
        ack = await self.outsider.js.publish(f"llm.v1.document.{tenant}.{collection}.{document_id}", json.dumps(body).encode())
        return ack.seq

    async def put_all(self, contents: Mapping[str, str], tenant: str = "acme") -> None:
        async with asyncio.TaskGroup() as group:
            for document_id, content in contents.items():
                group.create_task(self.put(document_id, content, tenant=tenant))

    async def settle(self, request_id: str, text: str, *, tenant: str = "acme", **fields: Any) -> None:
        """A result as the validator would publish it."""
        message = {"role": "assistant", "parts": [{"type": "text", "content": text}]}
        body = {"request_id": request_id, "tenant": tenant, "kind": "chat", "status": "succeeded", "message": message, "finished_at": NOW, **fields}
        await self.outsider.js.publish(f"llm.v1.settle.{tenant}.{request_id}", json.dumps(body).encode())

    async def ask(self, text: str, tenant: str = "acme", **fields: Any) -> dict[str, Any]:
        """The indexer's answer to a search."""
        reply = await self.outsider.nc.request(f"llm.v1.query.search.{tenant}", json.dumps({"text": text, **fields}).encode(), timeout=30)
        return dict(json.loads(reply.data))

    async def ids(self, text: str, tenant: str = "acme", **fields: Any) -> list[str]:
        answer = await self.ask(text, tenant, **fields)
        assert answer["error"] is None, answer
        return [hit["id"] for hit in answer["hits"]]

    async def state(self, tenant: str = "acme", **question: Any) -> dict[str, Any]:
        reply = await self.outsider.nc.request(f"llm.v1.query.indexed.{tenant}", json.dumps(question).encode(), timeout=30)
        return dict(json.loads(reply.data))

    async def indexed(self, *tenants: str, within_s: float = 60) -> dict[str, Any]:
        """Wait until the index has all that was published, vectors included; its state for the (last) tenant."""
        last = await self.outsider.last_sequence("DOCUMENTS")
        await self.outsider.idle("indexer-results", "RESULTS", within_s)
        state: dict[str, Any] = {}

        async def done() -> bool:
            for tenant in tenants or ("acme",):
                state.update(await self.state(tenant))
                if state["stream_floor"] < last or state["without_vector"]:
                    return False
            return True

        await eventually(done, within_s, 0.1, what="an index with all documents and vectors")
        return state

    async def dead(self) -> list[dict[str, Any]]:
        return [letter for _, _, letter in await self.outsider.all_stored("DEAD_LETTERS")]


@asynccontextmanager
async def library(folder: Path, environment: Mapping[str, str] | None = None, services: tuple[str, ...] = ("indexer",)) -> AsyncIterator[Library]:
    """A server with an indexer; its index lies in the folder unless the environment says otherwise."""
    stack = Stack(folder, environment={"HEADRACE_INDEXER_DATA_DIR": str(folder), **(environment or {})})
    try:
        await stack.start_servers()
        await stack.start_provider()
        await stack.begin_services(1, configuration(stack.base_url), services)
        async with Outsider(stack.url) as outsider:
            yield Library(stack, outsider)
    finally:
        await asyncio.to_thread(stack.end)


def embedded(port: int) -> int:
    """How many chunks an indexer has embedded since it was started, by its own metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
        found = re.search(r'headrace_index_chunks_total\{[^}]*outcome="embedded"[^}]*\} ([0-9.e+]+)', page.read().decode())
    return int(float(found.group(1))) if found else 0
