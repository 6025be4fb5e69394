"""OpenAI and Azure: no markers but a key for the stable beginning, and breakpoints by hand where the model takes them."""

from typing import Any

import pytest
from pydantic_core import to_json

from contracts.request import ChatRequestV1
from tests.support.prompt_cache import exchange_of, sent, wire_of

BASE: dict[str, Any] = {"messages": [{"role": "system", "content": "rules"}, {"role": "user", "content": "q"}], "tools": [{"name": "look"}]}
MARKED = {"messages": [{"role": "system", "content": "rules[CACHE_BREAKPOINT] of today"}, {"role": "user", "content": "q"}]}
keyed = pytest.mark.parametrize("type_name", ["openai", "openai_responses", "azure_v1", "azure_responses", "mistral"])


def key(type_name: str, model: str = "gpt-5.4", **changed: Any) -> Any:
    return sent(type_name, model, {**BASE, **changed}).get("prompt_cache_key")


@keyed
def test_the_key_is_the_same_as_long_as_model_tools_and_system_are(type_name: str) -> None:
    first = key(type_name)
    assert isinstance(first, str) and 0 < len(first) <= 64
    assert first == key(type_name, messages=[BASE["messages"][0], {"role": "user", "content": "something else"}], sampling={"max_output_tokens": 3})
    others = [
        key(type_name, model="gpt-5.5"),
        key(type_name, tools=[{"name": "listen"}]),
        key(type_name, messages=[{"role": "system", "content": "other rules"}, BASE["messages"][1]]),
    ]
    assert len({first, *others}) == 4 and None not in others


@keyed
def test_the_callers_own_key_stays_and_nothing_stable_has_no_key(type_name: str) -> None:
    assert key(type_name, provider_options={type_name: {"prompt_cache_key": "mine"}}) == "mine"
    assert key(type_name, messages=[BASE["messages"][1]], tools=[]) is None


def test_a_key_says_nothing_of_the_prompt() -> None:
    assert "rules" not in key("openai") and key("openai").isalnum()


@pytest.mark.parametrize(
    ("type_name", "model"),
    [("azure_v1", "DeepSeek-V3"), ("azure_v1", "Kimi-K2.5"), ("azure", "gpt-5"), ("groq", "gpt-oss"), ("vllm", "m"), ("compatible", "m")],
)
def test_who_refuses_the_key_or_may_is_sent_none(type_name: str, model: str) -> None:
    assert key(type_name, model) is None


def test_a_provider_at_anothers_address_is_asked_as_that_one() -> None:
    request = ChatRequestV1.model_validate(BASE)
    assert "prompt_cache_key" not in wire_of("openai", "https://api.groq.com/openai/v1", enabled=True).chat(request, "m").body
    assert "prompt_cache_key" in wire_of("compatible", "https://api.openai.com/v1", enabled=True).chat(request, "m").body


@pytest.mark.parametrize("type_name", ["openai", "openai_responses"])
def test_a_mark_by_hand_is_a_breakpoint_for_models_that_know_them(type_name: str) -> None:
    exchange = exchange_of(type_name, "gpt-5.6", MARKED)
    assert to_json(exchange.body).decode().count('"prompt_cache_breakpoint":{"mode":"explicit"}') == 1 and exchange.warnings == ()
    older = exchange_of(type_name, "gpt-5.4", MARKED)
    assert b"prompt_cache_breakpoint" not in to_json(older.body) and older.warnings == ()
    assert b"rules of today" in to_json(older.body)


@pytest.mark.parametrize("type_name", ["gemini", "vertex"])
def test_geminis_own_cached_content_is_named_by_the_caller(type_name: str) -> None:
    request = {"messages": [{"role": "user", "content": "q"}], "provider_options": {type_name: {"cachedContent": "cachedContents/1"}}}
    assert sent(type_name, "gemini-2.5-pro", request)["cachedContent"] == "cachedContents/1"
