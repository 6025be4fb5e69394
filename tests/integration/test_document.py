"""What really travels on the bus is what the AsyncAPI document says."""

import json
import re
from typing import Any

import jsonschema_rs
import yaml
from nats.aio.msg import Msg

from bus.asyncapi.document import DOCUMENT
from tests.support.client import Outsider
from tests.support.processes import eventually
from tests.support.stack import Stack, configuration, fake_provider

SCHEMA = {"json_schema": {"type": "object", "required": ["city"]}, "max_repairs": 1}
ANYTHING = ("request", "requestInLane", "lease")
"""Channels whose messages are not held to a schema here: what people send may be wrong, and a lease is a bare name."""


async def some_of_everything(outsider: Outsider) -> None:
    """Requests that end in every way there is, and take every way there is."""
    await outsider.ask("doc-plain")
    await outsider.ask("doc-streamed", "[[text in some pieces]]", stream=True)
    await outsider.ask("doc-again", "[[status 503 x1]]", lane="interactive")
    await outsider.ask("doc-repaired", "[[text no JSON]] Where?", output=SCHEMA)
    await outsider.ask("doc-refused", model="fake/nonesuch")
    await outsider.ask("doc-cancelled", "[[stall]]")
    await outsider.ask("doc-late", deadline="2020-01-01T00:00:00Z")
    await outsider.request({"id": "doc-embedded", "input": ["one", "two"]}, kind="embed", lane="bulk")
    await outsider.request({"messages": []}, tenant="Not-A-Tenant")
    await outsider.result("doc-plain")
    await outsider.ask("doc-plain", "another body, which makes a conflict")
    await outsider.cancel("doc-cancelled")
    for name in ("streamed", "again", "repaired", "refused", "cancelled", "late", "embedded"):
        await outsider.result(f"doc-{name}", within_s=30)


async def test_every_message_on_the_bus_is_one_that_the_document_describes(stack: Stack) -> None:
    described: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    stack.start("indexer-1", {"HEADRACE_INDEXER_EMBEDDINGS": "off", "HEADRACE_INDEXER_DATA_DIR": str(stack.folder)})
    await stack.ready("indexer-1")
    heard: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)

    async with Outsider(stack.server.url) as outsider:
        await outsider.nc.subscribe("llm.v1.>", cb=hear, pending_msgs_limit=-1, pending_bytes_limit=-1)
        await outsider.nc.subscribe("$KV.>", cb=hear)
        await outsider.nc.flush()
        changed = fake_provider(stack.base_url, timeout_s=61)  # a changed entry is checked at once
        await stack.push(configuration(stack.base_url, providers=[changed]))
        await some_of_everything(outsider)
        await outsider.nc.request("llm.v1.query.cost", b'{"by": ["tenant"]}', timeout=10)
        await outsider.nc.request("llm.v1.query.models", b'{"providers": ["fake"]}', timeout=10)
        await outsider.js.publish("llm.v1.document.acme.handbook.page-7", b'{"id": "page-7", "content": "Goods may be returned."}')
        for what, question in (("search", b'{"text": "returned"}'), ("indexed", b"{}")):
            await outsider.nc.request(f"llm.v1.query.{what}.acme", question, timeout=10)
        wanted = {name for name, channel in described["channels"].items() if channel["address"] and not channel["address"].startswith("$JS")}
        seen = await eventually(lambda: (found := {channel_of(described, message) for message in heard}) >= wanted - {"lease"} and found, 20, what=f"{wanted}")
    assert seen - {"lease"} == wanted - {"lease"}
    for message in heard:
        assert faults(described, message) == [], message.subject


def channel_of(described: dict[str, Any], message: Msg) -> str:
    """The channel with this subject; the subject itself where there is none."""
    return next((name for name, channel in described["channels"].items() if matches(channel, message.subject)), message.subject)


def matches(channel: dict[str, Any], subject: str) -> bool:
    values = {token: "|".join(parameter["enum"]) if "enum" in parameter else "[^.]+" for token, parameter in channel.get("parameters", {}).items()}
    pattern = re.sub(r"\\{(\w+)\\}", lambda token: f"({values[token[1]]})", re.escape(channel["address"] or ""))
    return re.fullmatch(pattern, subject) is not None


def faults(described: dict[str, Any], message: Msg) -> list[str]:
    """How payload and headers differ from every message that the channel has."""
    name = channel_of(described, message)
    if name in ANYTHING:
        return []
    each = [described["components"]["messages"][key] for key in described["channels"][name]["messages"]]
    found = [unlike(described, one["payload"], json.loads(message.data)) + unlike(described, one.get("headers", {}), message.headers or {}) for one in each]
    return min(found, key=len)


def unlike(described: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    return [str(error) for error in jsonschema_rs.Draft7Validator({**schema, "components": described["components"]}).iter_errors(value)]
