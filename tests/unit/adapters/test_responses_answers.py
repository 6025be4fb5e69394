"""Response objects and streams of the Responses API as answers."""

import json
from decimal import Decimal
from typing import Any

import pytest

from catalog.kinds import kind_of
from contracts.content import BlobPart, ReasoningPart, ServerToolCallPart, ServerToolCallResponsePart, TextPart, ToolCallPart, text_of
from contracts.outcome import UsageV1
from contracts.request import ChatRequestV1
from services.adapters.openai_responses.answers import chat_answer
from services.adapters.openai_responses.stream import StreamedResponse
from services.adapters.openai_responses.wire import Responses
from services.adapters.protocol import Answer, DeltaPiece, Event, Failure

USAGE = {"input_tokens": 20, "output_tokens": 8, "total_tokens": 28}


def response(*output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5", "error": None, "output": list(output), **fields}


def answered(*output: dict[str, Any], **fields: Any) -> Answer:
    outcome = chat_answer(response(*output, **fields))
    assert isinstance(outcome, Answer) and outcome.message is not None
    return outcome


def parts(*output: dict[str, Any]) -> list[Any]:
    message = answered(*output).message
    return list(message.all_parts()) if message is not None else []


def said(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": text, **fields}]}


CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": '{"a": 1}', "status": "completed"}


def test_text_keeps_its_message_and_its_sources() -> None:
    sources, own = [{"type": "url_citation", "url": "https://x"}], {"type": "message", "id": "msg_1", "status": "completed"}
    [part] = parts(said("hello", annotations=sources, logprobs=[]))
    assert part == TextPart(content="hello", provider_data={"openai_item": own, "annotations": sources})
    [part] = parts(said("hello", annotations=[], logprobs=[{"token": "hello"}]))
    assert part == TextPart(content="hello", provider_data={"openai_item": own, "logprobs": [{"token": "hello"}]})


def test_each_part_says_which_provider_gave_it() -> None:
    exchange = Responses(kind_of("xai_responses")).chat(ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "x"}], "stream": True}), "m")
    whole, stream = exchange.whole(response(said("a"), SEALED, SEARCH, CALL)), exchange.stream() if exchange.stream is not None else StreamedResponse()
    stream.feed(Event(json.dumps(event("completed", response=response(said("a"), SEALED, SEARCH, CALL)))))
    assert stream.result() == whole and isinstance(whole, Answer) and whole.message is not None
    assert [(part.provider_data or {})["openai_by"] for part in whole.message.all_parts()] == ["xai_responses"] * 4


def test_what_a_model_says_on_its_way_to_json_is_reasoning_and_goes_back_as_it_was_said() -> None:
    aside, answer = {**said("let me look"), "phase": "commentary"}, {**said('{"a": 1}'), "id": "msg_2", "phase": "final_answer"}
    messages: list[Any] = [{"role": "user", "content": "x"}]
    request = ChatRequestV1.model_validate({"messages": messages, "output": {"json_schema": {"type": "object"}}, "stream": True})
    exchange = Responses(kind_of("openai_responses")).chat(request, "gpt-5.4")
    whole = exchange.whole(response(aside, SEARCH, answer))
    assert isinstance(whole, Answer) and whole.message is not None
    assert text_of(whole.message.all_parts()) == '{"a": 1}' and isinstance(whole.message.all_parts()[0], ReasoningPart)
    assert exchange.stream is not None
    stream, pieces = exchange.stream(), []
    told = event("output_text.delta", output_index=0, content_index=0, delta="let me look")
    for one in (event("output_item.added", output_index=0, item=aside), told, event("completed", response=response(aside, SEARCH, answer))):
        pieces += stream.feed(Event(json.dumps(one)))
    assert stream.result() == whole and [(piece.type, piece.content) for piece in pieces] == [("reasoning", "let me look"), ("text", '{"a": 1}')]
    again = ChatRequestV1(messages=(*request.messages, whole.message))
    assert [item.get("phase") for item in Responses(kind_of("openai_responses")).chat(again, "gpt-5.4").body["input"]] == [
        None,
        "commentary",
        None,
        "final_answer",
    ]
    assert text_of(tuple(parts(aside, answer))) == 'let me look{"a": 1}'


def test_a_block_that_is_no_text_is_kept_as_it_came() -> None:
    block = {"type": "output_audio", "data": "AAAA"}
    [part] = parts({"type": "message", "id": "m", "content": [block]})
    assert part == TextPart(content="", provider_data={"openai_item": {"type": "message", "id": "m"}, "openai_block": block})


def test_each_summary_and_each_text_of_reasoning_is_a_part_and_the_first_keeps_what_is_encrypted() -> None:
    summary = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]
    own = {"type": "reasoning", "id": "rs_1"}
    found = parts({**own, "summary": summary, "content": [{"type": "reasoning_text", "text": "c"}], "encrypted_content": "sealed"})
    assert found == [
        ReasoningPart(content="a", encrypted="sealed", provider_data={"openai_item": own}),
        ReasoningPart(content="b", provider_data={"openai_item": own}),
        ReasoningPart(content="c", provider_data={"openai_item": own, "raw": True}),
    ]
    assert parts({**own, "summary": [], "encrypted_content": "sealed"}) == [ReasoningPart(encrypted="sealed", provider_data={"openai_item": own})]


def test_calls_of_functions_and_of_custom_tools() -> None:
    custom = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c2", "name": "math", "input": '{"not": "json"}'}
    function, other, broken = parts(CALL, custom, {**CALL, "arguments": "{broken"})
    assert function == ToolCallPart(
        id="c1", name="f", arguments={"a": 1}, provider_data={"openai_item": {"type": "function_call", "id": "fc_1", "status": "completed"}}
    )
    assert (other.id, other.name, other.arguments, other.provider_data["custom"], other.provider_data["raw_arguments"]) == (
        "c2",
        "math",
        {},
        True,
        '{"not": "json"}',
    )
    assert broken.arguments == {} and broken.provider_data["raw_arguments"] == "{broken"


@pytest.mark.parametrize(
    ("item", "name", "arguments", "result"),
    [
        ({"type": "web_search_call", "id": "i", "action": {"type": "search", "query": "q"}}, "web_search", {"type": "search", "query": "q"}, None),
        ({"type": "file_search_call", "id": "i", "queries": ["q"], "results": [{"text": "t"}]}, "file_search", ["q"], [{"text": "t"}]),
        ({"type": "file_search_call", "id": "i", "queries": ["q"], "results": None}, "file_search", ["q"], None),
        ({"type": "code_interpreter_call", "id": "i", "code": "1+1", "outputs": [{"logs": "2"}]}, "code_interpreter", "1+1", [{"logs": "2"}]),
        ({"type": "mcp_call", "id": "i", "name": "find", "arguments": '{"q": 1}', "output": "found", "error": None}, "find", {"q": 1}, "found"),
        ({"type": "mcp_call", "id": "i", "name": "find", "arguments": "{}", "output": None, "error": "no"}, "find", {}, "no"),
        ({"type": "mcp_list_tools", "id": "i", "tools": []}, "mcp_list_tools", None, None),
        ({"type": "mcp_approval_request", "id": "i", "name": "find", "arguments": "{broken"}, "find", "{broken", None),
        ({"type": "computer_call", "id": "i", "call_id": "c", "action": {"type": "click"}}, "computer", {"type": "click"}, None),
        ({"type": "something_new", "id": "i"}, "something_new", None, None),
    ],
)
def test_tools_that_the_provider_ran(item: dict[str, Any], name: str, arguments: Any, result: Any) -> None:
    call, *given = parts(item)
    assert isinstance(call, ServerToolCallPart) and (call.name, call.arguments) == (name, arguments)
    assert [part.response for part in given] == ([] if result is None else [result])


def test_a_made_image_is_an_image() -> None:
    call, image = parts({"type": "image_generation_call", "id": "ig_1", "output_format": "webp", "result": "AAAA"})
    assert isinstance(call, ServerToolCallPart) and call.provider_data is not None and call.provider_data["openai_item"]["result"] is None
    assert isinstance(image, BlobPart) and (image.modality, image.mime_type, image.content) == ("image", "image/webp", "AAAA")


@pytest.mark.parametrize("kind", ["tool_search_output", "compaction", "shell_call_output", "mcp_approval_response"])
def test_an_item_that_calls_nothing_is_kept_whole(kind: str) -> None:
    item = {"type": kind, "id": "i", "encrypted_content": "x"}
    assert parts(item) == [ServerToolCallResponsePart(id="i", provider_data={"openai_item": item})]


REFUSED = {"type": "message", "id": "m", "content": [{"type": "refusal", "refusal": "no"}]}


@pytest.mark.parametrize(
    ("output", "fields", "reason"),
    [
        ([said("x")], {}, "stop"),
        ([said("x"), CALL], {}, "tool_call"),
        ([REFUSED], {}, "content_filter"),
        ([said("x")], {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ([CALL], {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ([said("x")], {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ([said("x")], {"status": "incomplete", "incomplete_details": None}, "length"),
        ([said("x")], {"status": "incomplete", "incomplete_details": {"reason": "something_new"}}, "length"),
        ([], {}, "stop"),
    ],
)
def test_why_the_model_stopped(output: list[dict[str, Any]], fields: dict[str, Any], reason: str) -> None:
    assert answered(*output, **fields).finish_reason == reason


def test_a_refusal_is_text_that_says_what_it_is() -> None:
    assert parts(REFUSED) == [TextPart(content="no", provider_data={"openai_item": {"type": "message", "id": "m"}, "refusal": True})]


def test_usage_and_the_price_where_the_provider_names_it() -> None:
    details = {"input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 6}, "output_tokens_details": {"reasoning_tokens": 7}}
    full = UsageV1(input_tokens=20, output_tokens=8, cache_read_tokens=5, cache_write_tokens=6, reasoning_tokens=7)
    assert answered(said("x"), usage={**USAGE, **details}).usage == full
    assert answered(said("x"), usage=None).usage == UsageV1()
    assert answered(said("x"), usage={**USAGE, "cost": 0.5}).cost_usd == Decimal("0.5")
    assert answered(said("x"), usage={**USAGE, "cost_in_usd_ticks": 52410500}).cost_usd == Decimal("0.00524105")


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (response(status="failed", error={"code": "server_error", "message": "m"}), "unavailable", "server_error"),
        (response(status="failed", error={"code": "rate_limit_exceeded", "message": "m"}), "rate_limited", "rate_limit_exceeded"),
        (response(status="failed", error={"code": "invalid_image_url", "message": "m"}), "invalid_request", "invalid_image_url"),
        (response(status="failed", error={"code": "image_content_policy_violation", "message": "m"}), "content_filtered", "image_content_policy_violation"),
        (response(status="failed"), "unavailable", "failed"),
        (response(status="cancelled"), "unavailable", "cancelled"),
        (response(status="queued"), "invalid_request", "queued"),
        ({"error": {"message": "m", "code": "context_length_exceeded"}}, "context_too_long", "context_length_exceeded"),
        ({"object": "list"}, "unavailable", None),
        ([], "unavailable", None),
    ],
)
def test_a_response_that_is_no_answer(body: Any, kind: str, code: str | None) -> None:
    outcome = chat_answer(body)
    assert isinstance(outcome, Failure) and (outcome.type, outcome.provider_code) == (kind, code)
    assert not outcome.usage_known_zero


def test_a_failed_response_keeps_what_it_holds() -> None:
    outcome = chat_answer(response(said("half"), status="failed", usage=USAGE))
    assert isinstance(outcome, Failure) and outcome.usage == UsageV1(input_tokens=20, output_tokens=8)
    assert outcome.partial is not None and [part.content for part in outcome.partial.all_parts() if isinstance(part, TextPart)] == ["half"]


def streamed(*events: Any) -> tuple[Answer | Failure, list[DeltaPiece]]:
    stream, pieces = StreamedResponse(), []
    for number, event in enumerate(events):
        text = event if isinstance(event, str) else json.dumps(event)
        pieces += stream.feed(Event(text), cut=isinstance(event, str) and number == len(events) - 1)
    return stream.result(), pieces


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **fields}


SEALED = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "sealed"}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
BEGUN = [
    event("created", response=response(status="in_progress")),
    event("output_item.added", output_index=0, item={"type": "reasoning", "id": "rs_1", "summary": []}),
    event("reasoning_summary_text.delta", output_index=0, summary_index=0, delta="h"),
    event("reasoning_summary_text.delta", output_index=0, summary_index=0, delta="m"),
    event("output_item.done", output_index=0, item=SEALED),
    event("output_item.added", output_index=1, item={**SEARCH, "status": "in_progress"}),
    event("web_search_call.searching", output_index=1, item_id="ws_1"),
    event("output_item.done", output_index=1, item=SEARCH),
    event("output_item.added", output_index=2, item={**said(""), "content": []}),
    event("content_part.added", output_index=2, content_index=0, part={"type": "output_text", "text": ""}),
    event("output_text.delta", output_index=2, content_index=0, delta="hel"),
]
ENDED = [
    event("output_text.delta", output_index=2, content_index=0, delta="lo"),
    event("output_item.done", output_index=2, item=said("hello", annotations=[{"type": "url_citation"}])),
    event("output_item.added", output_index=3, item={**CALL, "arguments": ""}),
    event("function_call_arguments.delta", output_index=3, delta='{"a"'),
    event("function_call_arguments.delta", output_index=3, delta=": 1}"),
    event("output_item.done", output_index=3, item=CALL),
]
OUTPUT = (SEALED, SEARCH, said("hello", annotations=[{"type": "url_citation"}]), CALL)


@pytest.mark.parametrize("last", [OUTPUT, ()], ids=["output said again", "output left out at the end"])
def test_a_stream_is_the_answer_that_its_whole_response_is(last: tuple[dict[str, Any], ...]) -> None:
    outcome, pieces = streamed(*BEGUN, *ENDED, event("completed", response=response(*last, usage=USAGE)))
    assert outcome == answered(*OUTPUT, usage=USAGE)
    told = [(piece.type, piece.part, piece.content or (piece.tool_call and piece.tool_call.arguments_delta)) for piece in pieces]
    assert told == [("reasoning", 0, "h"), ("reasoning", 0, "m"), ("text", 2, "hel"), ("text", 2, "lo"), *[("tool_call", 3, x) for x in ("", '{"a"', ": 1}")]]


def test_what_was_not_told_in_pieces_is_told_at_the_end_of_its_item() -> None:
    outcome, pieces = streamed(event("output_item.done", output_index=0, item=said("hello")), event("completed", response=response(said("hello"), CALL)))
    assert outcome == answered(said("hello"), CALL)
    assert [piece.content for piece in pieces if piece.type == "text"] == ["hello"]
    assert [piece.tool_call.arguments_delta for piece in pieces if piece.tool_call is not None] == ["", '{"a": 1}']


def test_an_output_said_again_at_other_places_is_not_kept_twice() -> None:
    begun = event("output_item.done", output_index=1, item=said("hello"))
    assert streamed(begun, event("completed", response=response(said("hello"))))[0] == answered(said("hello"))


def test_events_without_an_index_belong_to_the_item_that_they_name() -> None:
    added = event("output_item.added", item={**CALL, "arguments": ""})
    outcome, _ = streamed(added, event("function_call_arguments.delta", item_id="fc_1", delta="{}"), event("completed", response=response(CALL)))
    assert outcome == answered(CALL)


@pytest.mark.parametrize("tail", [[], ['{"type": "response.compl'], ["[DONE]"]])
def test_a_stream_that_ends_early_is_cut_with_what_had_arrived(tail: list[str]) -> None:
    outcome, _ = streamed(*BEGUN, *tail)
    assert isinstance(outcome, Failure) and outcome.type == "truncated_stream" and outcome.partial is not None
    reasoning, search, text = outcome.partial.all_parts()
    assert isinstance(reasoning, ReasoningPart) and reasoning.encrypted == "sealed" and isinstance(search, ServerToolCallPart)
    assert isinstance(text, TextPart) and text.content == "hel"


def test_a_cut_call_keeps_its_name_and_what_was_written() -> None:
    outcome, _ = streamed(*BEGUN, *ENDED[:4])
    assert isinstance(outcome, Failure) and outcome.partial is not None
    call = outcome.partial.all_parts()[-1]
    assert isinstance(call, ToolCallPart) and (call.id, call.name, call.arguments) == ("c1", "f", {})
    assert call.provider_data is not None and call.provider_data["raw_arguments"] == '{"a"'


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (event("failed", response=response(status="failed", error={"code": "rate_limit_exceeded", "message": "m"}, usage=USAGE)), "rate_limited"),
        (event("failed", response=response(status="failed")), "unavailable"),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "m", "param": None}, "rate_limited"),
        ({"type": "error", "error": {"code": "context_length_exceeded", "message": "m"}}, "context_too_long"),
        ({"error": {"code": 429, "message": "m"}}, "rate_limited"),
        ("<html>", "unavailable"),
        ([], "unavailable"),
        (event("completed"), None),
    ],
)
def test_a_stream_that_ends_badly_is_a_failure_with_what_had_arrived(last: Any, kind: str | None) -> None:
    outcome, _ = streamed(*BEGUN, last, *(["{}"] if isinstance(last, str) else []))
    if kind is None:
        assert isinstance(outcome, Answer)
        return
    assert isinstance(outcome, Failure) and outcome.type == kind
    assert outcome.partial is not None and len(outcome.partial.all_parts()) == 3
    assert (outcome.usage is not None) == (isinstance(last, dict) and "usage" in last.get("response", {}))


def test_a_stream_that_stops_at_the_limit_is_an_answer() -> None:
    limit = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    outcome, _ = streamed(*BEGUN, event("incomplete", response=response(*OUTPUT[:2], said("hel"), **limit)))
    assert isinstance(outcome, Answer) and outcome.finish_reason == "length"


def test_a_streamed_refusal_says_what_it_is() -> None:
    done = event("output_item.done", output_index=0, item=REFUSED)
    outcome, pieces = streamed(
        event("refusal.delta", output_index=0, content_index=0, delta="n"),
        event("refusal.delta", output_index=0, content_index=0, delta="o"),
        done,
        event("completed", response=response()),
    )
    assert outcome == answered(REFUSED) and "".join(piece.content or "" for piece in pieces) == "no"
    cut, _ = streamed(event("refusal.delta", output_index=0, content_index=0, delta="n"))
    assert isinstance(cut, Failure) and cut.partial is not None and cut.partial.all_parts() == (TextPart(content="n", provider_data={"refusal": True}),)
