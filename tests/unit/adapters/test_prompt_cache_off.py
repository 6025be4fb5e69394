"""Off by default: no byte changes for anyone. On: messages change only for those who want to be told where."""

from typing import Any

import pytest
from pydantic_core import to_json

from catalog.kinds import kind_of, kinds
from contracts.config import PromptCacheV1, ProviderV1
from contracts.request import ChatRequestV1
from services.adapters.clients import WIRES
from services.adapters.prompt_cache.step import STYLES
from tests.support.prompt_cache import OPTIONS, exchange_of, wire_of

LONG = "A text that is long enough for any model's minimum. " * 400
REQUEST: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": LONG},
        {"role": "user", "content": LONG},
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": "what is [CACHE_BREAKPOINT] for?"},
    ],
    "tools": [{"name": "look", "description": "d"}],
}
CHATS = [name for name in kinds() if name != "voyage"]
EXPLICIT = {"anthropic", "bedrock"}
UNMARKED = {**REQUEST, "messages": [*REQUEST["messages"][:3], {"role": "user", "content": "and?"}]}


@pytest.mark.parametrize("type_name", kinds())
def test_switched_off_no_byte_of_any_providers_request_changes(type_name: str) -> None:
    kind, request = kind_of(type_name), ChatRequestV1.model_validate(REQUEST)
    configured: list[dict[str, Any]] = [{}, {"enabled": False, "ttl": "1h", "cache_first_user": True}]
    for model in ("m", "claude-sonnet-4-5", "gpt-5.6"):
        plain = WIRES[kind.protocol](kind, "p", OPTIONS).chat(request, model)
        for prompt_cache in configured:
            off = wire_of(type_name, **prompt_cache).chat(request, model)
            assert to_json(off.body) == to_json(plain.body) and off.warnings == plain.warnings and off.path == plain.path


def test_it_is_off_unless_the_configuration_says_otherwise() -> None:
    assert ProviderV1.model_validate({"id": "p", "type": "anthropic", "models": [{"id": "m"}]}).prompt_cache == PromptCacheV1(
        enabled=False, ttl="5m", breakpoints="auto", cache_first_user=False, fallback=True
    )


@pytest.mark.parametrize("type_name", [name for name in CHATS if kind_of(name).protocol not in EXPLICIT])
def test_switched_on_the_messages_stay_as_they_are_where_caching_is_the_providers_own_business(type_name: str) -> None:
    kind, request = kind_of(type_name), ChatRequestV1.model_validate(UNMARKED)
    for model in ("m", "gpt-5.6"):
        plain = WIRES[kind.protocol](kind, "p", OPTIONS).chat(request, model).body
        body = exchange_of(type_name, model, request).body
        assert {name: value for name, value in body.items() if name != "prompt_cache_key"} == plain
        assert b"cache_control" not in to_json(body) and b"cachePoint" not in to_json(body)


@pytest.mark.parametrize("type_name", CHATS)
def test_switched_on_a_mark_by_hand_reaches_no_provider_as_text(type_name: str) -> None:
    body = to_json(exchange_of(type_name, "claude-sonnet-4-5", REQUEST).body).decode()
    assert "CACHE_BREAKPOINT" not in body and "what is " in body and " for?" in body


@pytest.mark.parametrize("type_name", CHATS)
def test_the_request_is_never_changed(type_name: str) -> None:
    request = ChatRequestV1.model_validate({**REQUEST, "provider_options": {type_name: {"tools": [{"name": "other", "type": "x"}]}}})
    before = request.model_dump_json()
    exchange_of(type_name, "claude-sonnet-4-5", request)
    assert request.model_dump_json() == before


def test_every_style_belongs_to_a_protocol() -> None:
    assert STYLES.keys() <= WIRES.keys()
