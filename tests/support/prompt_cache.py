"""Bodies as a provider with the prompt-cache step would be sent them, and the same bodies without their markers."""

from typing import Any

from pydantic_core import to_json

from catalog.kinds import kind_of
from contracts.config import ProviderV1
from contracts.request import ChatRequestV1
from services.adapters.clients import WIRES
from services.adapters.prompt_cache.step import cached
from services.adapters.protocol import Exchange, WireProtocol

OPTIONS = {"project": "p", "region": "us-east-1", "resource": "r", "base_url": "http://127.0.0.1:1/v1"}


def wire_of(type_name: str, base_url: str | None = None, **prompt_cache: Any) -> WireProtocol:
    """The wire protocol as clients are made with it; without fields the step is off."""
    provider = ProviderV1.model_validate({"id": "p", "type": type_name, "models": [{"id": "m"}], "prompt_cache": prompt_cache})
    kind = kind_of(type_name)
    return cached(WIRES[kind.protocol](kind, "p", OPTIONS), kind.protocol, provider, base_url or kind.base_url)


def exchange_of(type_name: str, model: str, fields: dict[str, Any] | ChatRequestV1, **prompt_cache: Any) -> Exchange:
    request = fields if isinstance(fields, ChatRequestV1) else ChatRequestV1.model_validate(fields)
    return wire_of(type_name, **{"enabled": True, **prompt_cache}).chat(request, model)


def sent(type_name: str, model: str, fields: dict[str, Any] | ChatRequestV1, **prompt_cache: Any) -> Any:
    """The body, all warnings unwanted."""
    exchange = exchange_of(type_name, model, fields, **prompt_cache)
    assert not [warning for warning in exchange.warnings if warning.type == "cache_optimizer_failed"], exchange.warnings
    return exchange.body


def marks(body: Any) -> list[str]:
    """Where `cache_control` stands or what stands before a `cachePoint`, in the order of the prompt, each as section.number.block:ttl."""
    found = [f"tools.{at}:{mark}" for at, mark in _in(body.get("tools") or body.get("toolConfig", {}).get("tools", []))]
    found += [f"system.{at}:{mark}" for at, mark in _in(body.get("system", []))]
    for number, message in enumerate(body["messages"]):
        found += [f"messages.{number}.{at}:{mark}" for at, mark in _in(message["content"])]
    return found


def _in(blocks: Any) -> list[tuple[int, str]]:
    found, seen = [], 0
    for block in blocks if isinstance(blocks, list) else []:
        if "cachePoint" in block:
            found.append((seen - 1, block["cachePoint"].get("ttl", "-")))
            continue
        if "cache_control" in block:
            found.append((seen, block["cache_control"].get("ttl", "-")))
        seen += 1
    return found


def without(body: Any) -> bytes:
    """The body as it was before it was marked: no marker, and a lone text a string again."""
    clean = _cleaned(body)
    holders = [("content", message) for message in clean["messages"]] + [("system", clean)]
    for name, holder in holders:
        blocks = holder.get(name)
        if isinstance(blocks, list) and len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
            holder[name] = blocks[0]["text"]
    return to_json(clean)


def _cleaned(value: Any) -> Any:
    if isinstance(value, list):
        return [_cleaned(item) for item in value if not (isinstance(item, dict) and item.keys() == {"cachePoint"})]
    if isinstance(value, dict):
        return {name: _cleaned(item) for name, item in value.items() if name != "cache_control"}
    return value
