"""Where Anthropic's and Bedrock's markers go: four at most, by rank, on stable blocks alone, longer lives before shorter ones."""

from typing import Any

import pytest
from pydantic_core import to_json

from contracts.request import ChatRequestV1
from services.adapters.prompt_cache.placing import MESSAGES, SYSTEM, TOOLS, Candidate, Rank, chosen
from tests.support.prompt_cache import exchange_of, marks, sent

CLAUDE = {"anthropic": "claude-sonnet-4-5", "vertex_anthropic": "claude-sonnet-4-5", "bedrock": "us.anthropic.claude-sonnet-4-5-20250929-v1:0"}
NOVA, LLAMA = "amazon.nova-pro-v1:0", "meta.llama3-70b-instruct-v1:0"
TOOL = {"name": "look", "description": "d"}
LONG = "word " * 1000
each = pytest.mark.parametrize("type_name", CLAUDE)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def system(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}


def asked(*messages: dict[str, Any], tools: int = 0, **fields: Any) -> dict[str, Any]:
    return {"messages": list(messages), "tools": [{**TOOL, "name": f"t{number}"} for number in range(tools)], **fields}


def where(type_name: str, request: dict[str, Any] | ChatRequestV1, model: str | None = None, **prompt_cache: Any) -> list[str]:
    return marks(sent(type_name, model or CLAUDE[type_name], request, **prompt_cache))


@each
def test_the_last_tool_and_the_last_system_block_are_marked(type_name: str) -> None:
    assert where(type_name, asked(system("a"), system("b"), user("q"), tools=3)) == ["tools.2:5m", "system.1:5m"]


@each
def test_a_lone_user_message_is_marked_only_where_it_is_said_to_be_stable(type_name: str) -> None:
    lone = asked(user(LONG))
    assert where(type_name, lone) == []
    assert where(type_name, lone, cache_first_user=True) == ["messages.0.0:5m"]


@each
def test_in_a_conversation_the_last_stable_turn_and_the_first_user_message_are_marked_and_never_the_newest(type_name: str) -> None:
    assert where(type_name, asked(user("a"), assistant("b"), user("c"), assistant("d"), user("e"))) == ["messages.0.0:5m", "messages.3.0:5m"]


MINIMUMS = [("claude-opus-5", 512), ("claude-sonnet-4-5", 1024), ("claude-opus-4-7", 2048), ("claude-haiku-4-5", 4096), ("x", 1024)]


@pytest.mark.parametrize(("model", "minimum"), MINIMUMS)
def test_a_long_prefix_ends_where_the_models_minimum_has_come_together(model: str, minimum: int) -> None:
    def second(tokens: int) -> bool:
        turns = asked(user("a"), assistant("b"), user("w" * 4 * tokens), assistant("c"), user("d"), assistant("e"), user("f"))
        return "messages.2.0:5m" in where("anthropic", turns, model)

    assert second(minimum) and not second(minimum - 50)


@each
def test_the_whole_prefix_counts_not_one_message(type_name: str) -> None:
    half = "word " * 500
    assert "messages.1.0:5m" in where(type_name, asked(user(half), assistant(half), user("a"), assistant("b"), user("c")))


@each
def test_of_five_candidates_four_are_marked_by_rank(type_name: str) -> None:
    five = asked(system("s"), user("a"), assistant(LONG), user("b"), assistant("c"), user("d"), tools=1)
    assert where(type_name, five) == ["tools.0:5m", "system.0:5m", "messages.1.0:5m", "messages.3.0:5m"], "the first user message goes last"
    manual = asked(system("s"), user("a"), assistant(LONG), user("b [CACHE_BREAKPOINT]"), assistant("c"), user("d"), tools=1)
    assert where(type_name, manual) == ["tools.0:5m", "system.0:5m", "messages.1.0:5m", "messages.2.0:5m"], "the last stable turn gives way"


def test_rank_is_manual_tools_system_long_prefix_last_turn_first_user() -> None:
    places = {
        Rank.FIRST_USER: (MESSAGES, 0, 0),
        Rank.LAST_STABLE_TURN: (MESSAGES, 3, 0),
        Rank.LONG_PREFIX: (MESSAGES, 1, 0),
        Rank.SYSTEM: (SYSTEM, 0, 0),
        Rank.TOOLS: (TOOLS, 0, 0),
        Rank.MANUAL: (MESSAGES, 2, 0),
    }
    candidates = [Candidate(rank, at) for rank, at in places.items()]
    for room in range(7):
        assert chosen(candidates, {}, room, "5m").keys() == {places[rank] for rank in sorted(Rank)[:room]}


@each
def test_more_marks_by_hand_than_a_request_may_hold_keep_the_last_four(type_name: str) -> None:
    text = "".join(f"part {number}[CACHE_BREAKPOINT]" for number in range(6))
    assert where(type_name, asked(system("s"), user(text + "rest"), tools=1)) == [f"messages.0.{number}:5m" for number in (2, 3, 4, 5)]


@each
def test_a_mark_by_hand_cuts_the_text_and_marks_what_stands_before_it(type_name: str) -> None:
    body = sent(type_name, CLAUDE[type_name], asked(user("known [CACHE_BREAKPOINT] new")), breakpoints="manual")
    texts = [block["text"] for block in body["messages"][0]["content"] if "text" in block]
    assert (texts, marks(body)) == (["known ", " new"], ["messages.0.0:5m"])


@each
def test_a_mark_at_the_beginning_marks_the_part_or_turn_before(type_name: str) -> None:
    picture = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aGk="}
    turn = {"role": "user", "parts": [picture, {"type": "text", "content": "[CACHE_BREAKPOINT]what is it?"}]}
    assert where(type_name, asked(turn), breakpoints="manual") == ["messages.0.0:5m"]
    assert where(type_name, asked(system("s"), user("[CACHE_BREAKPOINT] q")), breakpoints="manual") == ["system.0:5m"]
    assert where(type_name, asked(user("a"), assistant("b"), user("[CACHE_BREAKPOINT]"), assistant("c"), user("d")), breakpoints="manual") == [
        "messages.1.0:5m"
    ]
    assert where(type_name, asked(user("[CACHE_BREAKPOINT] q")), breakpoints="manual") == [], "nothing stands before"


@each
def test_breakpoints_manual_places_no_other_marker(type_name: str) -> None:
    request = asked(system("s"), user("a"), assistant("b"), user("c"), tools=2)
    assert where(type_name, request, breakpoints="manual") == []


@each
def test_thinking_and_empty_blocks_are_never_marked(type_name: str) -> None:
    thought = {"type": "reasoning", "content": LONG, "signature": "c2ln"}
    blank = {"type": "text", "content": "  \n"}
    body = asked(user("q"), {"role": "assistant", "parts": [{"type": "text", "content": "answer"}, thought, blank]}, user("[CACHE_BREAKPOINT]next"))
    for how in ("auto", "manual"):
        placed = where(type_name, body, breakpoints=how)
        assert "messages.1.0:5m" in placed and "messages.1.1:5m" not in placed and "messages.1.2:5m" not in placed
    only = asked({"role": "user", "parts": [blank]}, {"role": "assistant", "parts": [thought]}, user("next"))
    assert where(type_name, only) == []


def test_a_tool_whose_loading_is_deferred_is_not_marked() -> None:
    later = {"name": "later", "input_schema": {"type": "object"}, "defer_loading": True}
    request = asked(user("q"), tools=1, provider_options={"anthropic": {"tools": [later]}})
    assert where("anthropic", request) == ["tools.0:5m"]


def given(type_name: str, ttl: str | None) -> dict[str, Any]:
    """A caller's own marker in `provider_data`."""
    name, kind = ("cachePoint", "default") if type_name == "bedrock" else ("cache_control", "ephemeral")
    return {name: {"type": kind, **({"ttl": ttl} if ttl else {})}}


@each
def test_markers_of_the_callers_own_are_counted_and_left_alone(type_name: str) -> None:
    parts = [{"type": "text", "content": f"p{number}", "provider_data": given(type_name, "5m")} for number in range(3)]
    request = asked(system("s"), {"role": "user", "parts": parts}, assistant("a"), user("q"), tools=1)
    assert where(type_name, request) == ["tools.0:5m", *(f"messages.0.{number}:5m" for number in range(3))]
    full = asked(system("s"), {"role": "user", "parts": [*parts, {**parts[0]}]}, assistant("a"), user("q [CACHE_BREAKPOINT]"), tools=1)
    assert where(type_name, full) == [f"messages.0.{number}:5m" for number in range(4)]


def test_the_automatic_marker_at_the_top_is_counted() -> None:
    request = asked(system("s"), user("a"), assistant("b"), user("c"), tools=1, provider_options={"anthropic": {"cache_control": {"type": "ephemeral"}}})
    body = sent("anthropic", CLAUDE["anthropic"], request)
    assert len(marks(body)) == 3 and body["cache_control"] == {"type": "ephemeral"}


@each
def test_an_hour_never_follows_five_minutes(type_name: str) -> None:
    def own(ttl: str | None) -> dict[str, Any]:
        return {"role": "user", "parts": [{"type": "text", "content": "mine", "provider_data": given(type_name, ttl)}]}

    after = asked(system("s"), own("5m"), assistant("b"), user("c"), tools=1)
    assert where(type_name, after, ttl="1h") == ["tools.0:1h", "system.0:1h", "messages.0.0:5m", "messages.1.0:5m"]
    before = asked(system("s"), own("1h"), assistant("b"), user("c"), tools=1)
    assert where(type_name, before, ttl="5m") == ["tools.0:1h", "system.0:1h", "messages.0.0:1h", "messages.1.0:5m"]
    unsaid = asked(own(None), assistant("b"), user("c"))
    assert where(type_name, unsaid, ttl="1h") == ["messages.0.0:-", "messages.1.0:5m"]


def test_bedrock_says_a_ttl_only_to_models_that_take_one() -> None:
    request = asked(system("s"), user("q"), tools=1)
    assert where("bedrock", request, "anthropic.claude-3-7-sonnet-20250219-v1:0", ttl="1h") == ["tools.0:-", "system.0:-"]
    assert where("bedrock", request, NOVA, ttl="1h") == ["system.0:-"], "Nova takes no point among its tools"
    assert where("bedrock", asked(system("s [CACHE_BREAKPOINT]"), user("q"), tools=1), LLAMA) == []


@each
def test_requests_that_differ_in_their_last_message_share_the_marked_prefix_byte_for_byte(type_name: str) -> None:
    def prefix(last: str) -> bytes:
        body = sent(type_name, CLAUDE[type_name], asked(system(LONG), user(LONG), assistant("b"), user(last), tools=2), ttl="1h")
        assert marks(body)[-1].startswith("messages.1.")
        return to_json([body.get("tools") or body.get("toolConfig"), body["system"], body["messages"][:2]])

    assert prefix("one question") == prefix("quite another one, " * 50)


@each
def test_a_text_becomes_a_block_only_where_a_marker_goes(type_name: str) -> None:
    body = sent(type_name, CLAUDE[type_name], asked(user("a"), assistant("b"), user("c"), assistant("d"), user("e")))
    shapes = [isinstance(message["content"], str) for message in body["messages"]]
    assert shapes == [False, True, True, False, True] if type_name != "bedrock" else not any(shapes)


def test_fields_of_the_body_beside_the_prompt_are_left_alone() -> None:
    request = asked(system("s"), user("q"), sampling={"max_output_tokens": 7}, provider_options={"anthropic": {"metadata": {"user_id": "u"}}})
    exchange = exchange_of("anthropic", "claude-sonnet-4-5", request)
    assert (exchange.body["max_tokens"], exchange.body["metadata"], exchange.path) == (7, {"user_id": "u"}, "/v1/messages")
