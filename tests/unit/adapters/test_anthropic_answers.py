"""Bodies and streams of the Messages API as our answers, from the shapes that its reference documents."""

import json
from typing import Any

import pytest

from contracts.content import ServerToolCallPart, ServerToolCallResponsePart, TextPart, ToolCallPart
from services.adapters.anthropic.answers import chat_answer
from services.adapters.anthropic.stream import StreamedMessage
from services.adapters.protocol import Answer, DeltaPiece, Event, Failure

USAGE = {
    "input_tokens": 10,
    "output_tokens": 20,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 70,
    "cache_creation": {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 30},
    "output_tokens_details": {"thinking_tokens": 5},
}


def message(*blocks: Any, **fields: Any) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "model": "claude-x", "content": list(blocks), "stop_reason": "end_turn", "usage": USAGE, **fields}


def answered(body: Any, tool: str | None = None) -> Answer:
    outcome = chat_answer(body, tool)
    assert isinstance(outcome, Answer), outcome
    return outcome


def stream(*events: dict[str, Any], tool: str | None = None, cut: bool = False) -> tuple[Answer | Failure, list[DeltaPiece]]:
    streamed, pieces = StreamedMessage(tool), []
    for event in events:
        pieces += streamed.feed(Event(json.dumps(event), event["type"]))
    if cut:
        streamed.feed(Event('{"type": "content_bl'), cut=True)
    return streamed.result(), pieces


def start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


BEGIN = {"type": "message_start", "message": {"id": "msg_1", "model": "claude-x", "content": [], "usage": {**USAGE, "output_tokens": 1}}}


def end(reason: str = "end_turn") -> tuple[dict[str, Any], ...]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 20}}, {"type": "message_stop"}


def test_all_input_counts_whether_cached_or_not_and_writes_are_told_by_their_time_to_live() -> None:
    usage = answered(message()).usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens) == (180, 100, 70, 30)
    assert (usage.output_tokens, usage.reasoning_tokens) == (20, 5)


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": -1}, {"input_tokens": "7"}, []])
def test_usage_that_is_not_told_is_unknown(usage: Any) -> None:
    told = answered(message(usage=usage)).usage
    assert (told.input_tokens, told.output_tokens, told.cache_read_tokens) == (None, None, None)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
        ("what_comes_next", "stop"),
    ],
)
def test_stop_reasons(reason: str, finish: str) -> None:
    assert answered(message({"type": "text", "text": "a"}, stop_reason=reason)).finish_reason == finish


def test_a_paused_turn_and_a_refusal_say_so_in_warnings() -> None:
    paused = answered(message(stop_reason="pause_turn")).warnings
    refused = answered(message(stop_reason="refusal", stop_details={"type": "refusal", "category": "cyber", "explanation": "why"})).warnings
    assert [(warning.type, "send the answer back" in warning.message) for warning in paused] == [("paused", True)]
    assert [(warning.type, warning.message) for warning in refused] == [("refusal", "why")]


def test_tokens_that_are_billed_beside_the_usage_are_said() -> None:
    iterations = [{"type": "message", "input_tokens": 1}, {"type": "advisor_message", "input_tokens": 9}]
    assert [warning.type for warning in answered(message(usage={**USAGE, "iterations": iterations})).warnings] == ["usage_beside"]
    assert not answered(message(usage={**USAGE, "iterations": iterations[:1]})).warnings


def test_server_tools_keep_their_blocks() -> None:
    call = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}}
    result = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"type": "web_search_result", "encrypted_content": "e"}]}
    answer = answered(message(call, result, container={"id": "c1", "expires_at": "2026"}))
    assert answer.message is not None
    one, other = answer.message.all_parts()
    assert isinstance(one, ServerToolCallPart) and (one.name, one.arguments, one.provider_data) == ("web_search", {"query": "q"}, {"anthropic_block": call})
    assert isinstance(other, ServerToolCallResponsePart) and other.id == "s1"
    assert other.provider_data == {"anthropic_block": result, "anthropic_container": "c1"}


def test_the_input_of_the_output_tool_is_the_answers_text_whole_and_streamed() -> None:
    whole = answered(message({"type": "tool_use", "id": "t", "name": "answer", "input": {"n": 1}}, stop_reason="tool_use"), "answer")
    begun = start(0, type="tool_use", id="t", name="answer", input={})
    pieces = [delta(0, "input_json_delta", partial_json=piece) for piece in ('{"n"', ":1}")]
    streamed, told = stream(BEGIN, begun, *pieces, *end("tool_use"), tool="answer")
    assert isinstance(streamed, Answer) and whole.finish_reason == streamed.finish_reason == "stop"
    assert whole.message == streamed.message and whole.message is not None and whole.message.all_parts() == (TextPart(content='{"n":1}'),)
    assert [(piece.type, piece.content) for piece in told] == [("text", '{"n"'), ("text", ":1}")]


def test_a_stream_is_put_together_and_told_in_pieces_by_part() -> None:
    outcome, pieces = stream(
        BEGIN,
        start(0, type="thinking", thinking="", signature=""),
        {"type": "ping"},
        delta(0, "thinking_delta", thinking="hm"),
        delta(0, "signature_delta", signature="sig"),
        start(1, type="text", text=""),
        delta(1, "text_delta", text="Hel"),
        delta(1, "text_delta", text="lo"),
        delta(1, "citations_delta", citation={"type": "page_location", "cited_text": "x"}),
        start(2, type="tool_use", id="t1", name="look", input={}),
        delta(2, "input_json_delta", partial_json=""),
        delta(2, "input_json_delta", partial_json='{"q": '),
        delta(2, "input_json_delta", partial_json="1}"),
        start(3, type="tool_use", id="t2", name="stay", input={}),
        start(4, type="server_tool_use", id="s1", name="web_search", input={}),
        delta(4, "input_json_delta", partial_json='{"query": "q"}'),
        {"type": "an_event_of_tomorrow"},
        *end("tool_use"),
    )
    assert isinstance(outcome, Answer) and outcome.message is not None
    thought, text, look, stay, search = outcome.message.all_parts()
    assert thought.type == "reasoning" and (thought.content, thought.signature) == ("hm", "sig")
    assert text == TextPart(content="Hello", provider_data={"citations": [{"type": "page_location", "cited_text": "x"}]})
    assert (look, stay) == (ToolCallPart(id="t1", name="look", arguments={"q": 1}), ToolCallPart(id="t2", name="stay", arguments={}))
    assert isinstance(search, ServerToolCallPart) and search.arguments == {"query": "q"}
    assert (outcome.finish_reason, outcome.usage.input_tokens, outcome.usage.output_tokens) == ("tool_call", 180, 20)
    assert [(piece.part, piece.content or (piece.tool_call and piece.tool_call.arguments_delta)) for piece in pieces] == [
        (0, "hm"),
        (1, "Hel"),
        (1, "lo"),
        (2, ""),
        (2, '{"q": '),
        (2, "1}"),
        (3, ""),
    ]


def test_arguments_that_are_no_json_are_kept_as_they_were_written() -> None:
    outcome, _ = stream(
        BEGIN, start(0, type="tool_use", id="t", name="look", input={}), delta(0, "input_json_delta", partial_json='{"q": '), *end("max_tokens")
    )
    assert isinstance(outcome, Answer) and outcome.message is not None
    assert outcome.message.all_parts()[0] == ToolCallPart(id="t", name="look", arguments={}, provider_data={"raw_arguments": '{"q": '})


def test_an_error_in_a_stream_is_a_failure_with_what_had_arrived() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    outcome, _ = stream(BEGIN, start(0, type="text", text=""), delta(0, "text_delta", text="Hel"), error)
    assert isinstance(outcome, Failure) and (outcome.type, outcome.provider_code, outcome.usage_known_zero) == ("overloaded", "overloaded_error", False)
    assert outcome.partial is not None and outcome.partial.all_parts() == (TextPart(content="Hel"),)


def test_a_stream_that_ends_before_the_model_had_finished_is_truncated() -> None:
    outcome, _ = stream(BEGIN, start(0, type="text", text=""), delta(0, "text_delta", text="Hel"), cut=True)
    assert isinstance(outcome, Failure) and outcome.type == "truncated_stream" and outcome.partial is not None


@pytest.mark.parametrize("body", [[], "x", None, {}, {"content": "x"}, {"content": [1]}, {"type": "error", "error": {"type": "api_error"}}])
def test_a_200_that_says_nothing_we_understand_may_have_been_billed(body: Any) -> None:
    outcome = chat_answer(body)
    assert isinstance(outcome, Failure) and outcome.type == "unavailable" and not outcome.usage_known_zero


HOSTILE = [
    {"type": "content_block_start", "index": "0", "content_block": {}},
    {"type": "content_block_start", "index": 0, "content_block": None},
    {"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "x"}},
    {"type": "content_block_delta", "index": 0},
    {"type": "message_start", "message": []},
    {"type": "message_delta", "delta": 3, "usage": []},
    {"type": 5},
]


@pytest.mark.parametrize("event", HOSTILE)
def test_events_of_the_wrong_shape_are_passed_over(event: dict[str, Any]) -> None:
    outcome, _ = stream(BEGIN, event, start(0, type="text", text=""), delta(0, "text_delta", text="a"), *end())
    assert isinstance(outcome, Answer) and outcome.message is not None and outcome.message.all_parts()[-1] == TextPart(content="a")
