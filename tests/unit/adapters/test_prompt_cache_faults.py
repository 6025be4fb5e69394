"""A fault in marking is never the reason why a request is not sent: it goes out plain, and the fault is told and counted."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import structlog
from pydantic_core import to_json

from catalog.capabilities import Caching
from catalog.kinds import kind_of
from contracts.config import PromptCacheV1
from contracts.request import ChatRequestV1
from observability import metrics
from observability.instruments import Labels, Number
from services.adapters.anthropic.wire import Messages
from services.adapters.conversion import Unconvertible
from services.adapters.prompt_cache import messages
from services.adapters.prompt_cache.step import Cached, Style
from services.adapters.protocol import Answer, Body, Exchange, Failure
from tests.adapters.documented import bodies_of, client_for, serving
from tests.support.prompt_cache import wire_of

SECRET = "the prompt that nobody may read"
REQUEST = ChatRequestV1.model_validate(
    {"messages": [{"role": "system", "content": f"{SECRET}[CACHE_BREAKPOINT]"}, {"role": "user", "content": "q"}], "tools": [{"name": "look"}]}
)
PLAIN = Messages(kind_of("anthropic"), "p")


@pytest.fixture
def counted() -> Iterator[Mapping[Labels, Number]]:
    """The fallbacks that were counted, by stage."""
    metrics.begin()
    assert metrics.PROMPT_CACHE_FALLBACKS.series is not None
    yield metrics.PROMPT_CACHE_FALLBACKS.series
    metrics.end()


def broken_mark(caching: Caching) -> Mapping[str, Any] | None:
    raise KeyError(SECRET)


def broken_placing(body: Body, model: str, caching: Caching, wanted: PromptCacheV1) -> Body:
    raise ZeroDivisionError(SECRET)


class BreaksOnMarks(Messages):
    """A conversion that stumbles over what the step made of the request."""

    def chat(self, request: ChatRequestV1, model: str) -> Exchange:
        if any(part.provider_data for message in request.messages for part in message.all_parts()):
            raise TypeError(SECRET)
        return super().chat(request, model)


STAGES = {
    "manual": (PLAIN, Style(broken_mark, messages.marked)),
    "conversion": (BreaksOnMarks(kind_of("anthropic"), "p"), Style(messages.mark, messages.marked)),
    "placing": (PLAIN, Style(messages.mark, broken_placing)),
}


def step(stage: str, *, fallback: bool = True) -> Cached:
    wire, style = STAGES[stage]
    return Cached(wire, style, PromptCacheV1(enabled=True, fallback=fallback), "anthropic", "p")


@pytest.mark.parametrize("stage", STAGES)
def test_a_fault_in_any_stage_sends_the_plain_request_and_is_counted_and_told_without_a_word_of_the_prompt(
    stage: str, counted: Mapping[Labels, Number]
) -> None:
    with structlog.testing.capture_logs() as logs:
        exchange = step(stage).chat(REQUEST, "claude-sonnet-4-5")
    assert to_json(exchange.body) == to_json(PLAIN.chat(REQUEST, "claude-sonnet-4-5").body)
    assert counted == {(stage,): 1}
    (warning,) = exchange.warnings
    (line,) = logs
    assert warning.type == line["event"] == "cache_optimizer_failed" and stage in warning.message and line["stage"] == stage
    assert SECRET not in f"{warning} {line}"


@pytest.mark.parametrize("stage", STAGES)
def test_without_fallback_a_fault_refuses_the_call_by_name(stage: str, counted: Mapping[Labels, Number]) -> None:
    with pytest.raises(Unconvertible, match=r"prompt_cache\.fallback") as refused:
        step(stage, fallback=False).chat(REQUEST, "claude-sonnet-4-5")
    assert stage in str(refused.value) and SECRET not in str(refused.value) and counted == {(stage,): 1}


def test_what_cannot_be_said_at_all_is_no_fault_of_the_step(counted: Mapping[Labels, Number]) -> None:
    request = ChatRequestV1.model_validate({"messages": [{"role": "system", "content": "s"}]})
    with pytest.raises(Unconvertible, match="add a user turn"):
        wire_of("anthropic", enabled=True).chat(request, "claude-sonnet-4-5")
    assert not any(counted.values())


@pytest.mark.parametrize(("type_name", "options"), [("anthropic", {"system": 5}), ("bedrock", {"system": "s"}), ("bedrock", {"system": [1]})])
def test_a_body_that_options_bent_out_of_shape_is_sent_as_it_is(type_name: str, options: dict[str, Any]) -> None:
    request = ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "q"}], "provider_options": {type_name: options}})
    with structlog.testing.capture_logs():
        exchange = wire_of(type_name, enabled=True).chat(request, "anthropic.claude-sonnet-4-5")
    assert exchange.body == wire_of(type_name).chat(request, "anthropic.claude-sonnet-4-5").body
    assert [warning.type for warning in exchange.warnings] == ["cache_optimizer_failed"]


def ask(fallback: bool) -> tuple[Answer | Failure, list[dict[str, Any]]]:
    async def within() -> tuple[Answer | Failure, list[dict[str, Any]]]:
        async with serving() as (server, session):
            bodies = bodies_of("anthropic")
            server.says(bodies.answer.replace("{STOP}", next(iter(bodies.stops))))
            client = client_for(server, session, "anthropic", prompt_cache={"enabled": True, "fallback": fallback})
            request = REQUEST.model_copy(update={"provider_options": {"anthropic": {"tools": [{"name": "bad", "type": "x"}], "system": 5}}})
            outcome = await client.chat(request, "claude-sonnet-4-5", timeout_s=10, idempotency_key="job/1")
            return outcome, list(server.asked)

    with structlog.testing.capture_logs():
        return asyncio.run(within())


def test_over_http_the_answer_comes_all_the_same_and_says_what_happened() -> None:
    outcome, asked = ask(fallback=True)
    assert isinstance(outcome, Answer) and len(asked) == 1
    assert [warning.type for warning in outcome.warnings] == ["cache_optimizer_failed"]


def test_over_http_without_fallback_nothing_is_sent() -> None:
    outcome, asked = ask(fallback=False)
    assert isinstance(outcome, Failure) and asked == []
    assert (outcome.type, outcome.usage_known_zero) == ("invalid_request", True)
