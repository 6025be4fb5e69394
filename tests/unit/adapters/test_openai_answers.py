"""Chat-completions and embeddings bodies as our answers."""

import base64
import json
import struct
from decimal import Decimal
from typing import Any

import pytest

from contracts.content import ReasoningPart, TextPart, ToolCallPart
from contracts.outcome import UsageV1
from contracts.request import EmbedRequestV1
from services.adapters.openai.answers import chat_answer, usage_of
from services.adapters.openai.stream import StreamedAnswer
from services.adapters.openai.vectors import embed_answer
from services.adapters.protocol import Answer, DeltaPiece, Event, Failure


def completion(message: dict[str, Any], finish: str | None = "stop", **fields: Any) -> dict[str, Any]:
    return {"id": "r1", "model": "m-1", "choices": [{"index": 0, "finish_reason": finish, "message": message}], **fields}


def answered(outcome: Answer | Failure) -> Answer:
    assert isinstance(outcome, Answer), outcome
    return outcome


def failed(outcome: Answer | Failure) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


def parts(outcome: Answer | Failure) -> tuple[Any, ...]:
    message = answered(outcome).message
    assert message is not None
    return message.all_parts()


def test_a_plain_answer() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    answer = answered(chat_answer(completion({"role": "assistant", "content": "hi"}, usage=usage)))
    assert parts(answer) == (TextPart(content="hi"),)
    assert (answer.finish_reason, answer.response_id, answer.response_model, answer.cost_usd) == ("stop", "r1", "m-1", None)
    assert answer.usage == UsageV1(input_tokens=10, output_tokens=5, cache_read_tokens=4, reasoning_tokens=2)


@pytest.mark.parametrize(("wire", "ours"), [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"), ("new_word", "stop"), (None, "stop")])
def test_finish_reasons(wire: str | None, ours: str) -> None:
    assert answered(chat_answer(completion({"content": "hi"}, wire))).finish_reason == ours


def test_tool_calls_with_decoded_arguments() -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}, {"function": {"name": "g", "arguments": ""}}]
    outcome = chat_answer(completion({"content": None, "tool_calls": calls}, "stop"))
    assert parts(outcome) == (ToolCallPart(id="c1", name="f", arguments={"a": 1}), ToolCallPart(id="call_1", name="g", arguments={}))
    assert answered(outcome).finish_reason == "tool_call"


@pytest.mark.parametrize("raw", ['{"a": ', "[1]", "NaN", '{"a": NaN}', '"text"', "[" * 5000])
def test_undecodable_arguments_keep_what_the_model_wrote(raw: str) -> None:
    (call,) = parts(chat_answer(completion({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": raw}}]}, "tool_calls")))
    assert (call.arguments, call.provider_data) == ({}, {"raw_arguments": raw})


def test_a_refusal_ends_as_content_filter_with_its_words_kept() -> None:
    outcome = chat_answer(completion({"content": None, "refusal": "I cannot."}))
    assert parts(outcome) == (TextPart(content="I cannot.", provider_data={"refusal": True}),)
    assert answered(outcome).finish_reason == "content_filter"


@pytest.mark.parametrize("message", [{"reasoning_content": "hm", "reasoning": "hm", "content": "hi"}, {"content": "hi", "reasoning": "hm"}])
def test_reasoning_comes_before_the_text(message: dict[str, Any]) -> None:
    assert parts(chat_answer(completion(message))) == (ReasoningPart(content="hm"), TextPart(content="hi"))


def test_unknown_usage_is_unknown_not_zero() -> None:
    assert usage_of(None) == UsageV1()
    assert usage_of({"prompt_tokens": 10**400, "completion_tokens": float("nan")}) == UsageV1()
    assert usage_of({"prompt_tokens": "many", "completion_tokens": -1, "prompt_tokens_details": None}) == UsageV1()


def test_reasoning_that_is_counted_beside_the_completion_is_added() -> None:
    usage = usage_of({"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 111, "completion_tokens_details": {"reasoning_tokens": 100}})
    assert (usage.output_tokens, usage.reasoning_tokens) == (101, 100)


def test_a_price_that_the_provider_names_is_kept_exactly() -> None:
    assert answered(chat_answer(completion({"content": "hi"}, usage={"cost": 0.0001}))).cost_usd == Decimal("0.0001")
    assert answered(chat_answer(completion({"content": "hi"}, usage={"cost": {"total_cost": 0.5}}))).cost_usd == Decimal("0.5")


@pytest.mark.parametrize("body", [None, [], "text", {}, {"choices": []}, {"choices": [None]}, {"choices": [{"text": "x"}]}])
def test_a_200_that_is_no_answer_is_a_failure_that_may_have_been_billed(body: Any) -> None:
    failure = failed(chat_answer(body))
    assert failure.type == "unavailable" and not failure.usage_known_zero


def test_an_error_object_inside_a_200_is_a_failure() -> None:
    filtered = failed(chat_answer({"error": {"code": "content_filter", "message": "no", "status": 400}}))
    assert (filtered.type, filtered.provider_code, filtered.usage_known_zero) == ("content_filtered", "content_filter", False)


# -- streams


def chunk(delta: dict[str, Any], finish: str | None = None, **fields: Any) -> str:
    return json.dumps({"id": "r1", "model": "m-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **fields})


def call(index: int | None, arguments: Any, call_id: str | None = None, name: str | None = None) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}]}


def streamed(*events: str) -> tuple[list[DeltaPiece], Answer | Failure]:
    stream = StreamedAnswer()
    pieces = [piece for event in events for piece in stream.feed(Event(event))]
    return pieces, stream.result()


def test_a_stream_adds_up_to_the_answer() -> None:
    usage = json.dumps({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    pieces, outcome = streamed(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning": "hm"}),
        chunk({"content": "Pa"}),
        chunk({"content": "ris"}),
        chunk({}, "stop"),
        usage,
        "[DONE]",
    )
    assert [(piece.type, piece.part, piece.content) for piece in pieces] == [("reasoning", 0, "hm"), ("text", 1, "Pa"), ("text", 1, "ris")]
    assert parts(outcome) == (ReasoningPart(content="hm"), TextPart(content="Paris"))
    assert answered(outcome).usage == UsageV1(input_tokens=3, output_tokens=2)
    assert (answered(outcome).response_id, answered(outcome).response_model, answered(outcome).finish_reason) == ("r1", "m-1", "stop")


def test_interleaved_tool_calls_are_put_together_by_index() -> None:
    events = [
        chunk(call(0, "", "a", "f")),
        chunk(call(1, '{"y"', "b", "g")),
        chunk(call(0, '{"x": 1}')),
        chunk(call(1, ": 2}")),
        chunk({}, "tool_calls"),
        "[DONE]",
    ]
    pieces, outcome = streamed(*events)
    assert parts(outcome) == (ToolCallPart(id="a", name="f", arguments={"x": 1}), ToolCallPart(id="b", name="g", arguments={"y": 2}))
    assert [piece.part for piece in pieces] == [0, 1, 0, 1]


@pytest.mark.parametrize("index", [0, None])
def test_calls_that_a_server_numbers_alike_stay_apart(index: int | None) -> None:
    _, outcome = streamed(chunk(call(index, '{"x": 1}', "a", "f")), chunk(call(index, {"y": 2}, "b", "g")), chunk({}, "stop"))
    assert parts(outcome) == (ToolCallPart(id="a", name="f", arguments={"x": 1}), ToolCallPart(id="b", name="g", arguments={"y": 2}))
    assert answered(outcome).finish_reason == "tool_call"


def test_a_stream_that_ends_before_the_model_did_is_truncated() -> None:
    failure = failed(streamed(chunk({"content": "Pa"}))[1])
    assert failure.type == "truncated_stream" and not failure.usage_known_zero
    assert failed(streamed()[1]).type == "truncated_stream"


def test_a_stream_that_ends_after_its_finish_reason_is_whole() -> None:
    assert answered(streamed(chunk({"content": "Paris"}, "length"))[1]).finish_reason == "length"


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ('{"error": {"message": "Token limit reached", "code": 400}}', "invalid_request"),
        ('{"error": {"message": "slow down", "code": 429}}', "rate_limited"),
        ('{"error": {"message": "x", "type": "server_error"}}', "unavailable"),
        ('{"error": "boom"}', "unavailable"),
        ("not json", "unavailable"),
        ("[1]", "unavailable"),
    ],
)
def test_an_error_in_the_middle_of_a_stream(event: str, kind: str) -> None:
    failure = failed(streamed(chunk({"content": "Pa"}), event)[1])
    assert failure.type == kind and not failure.usage_known_zero


# -- embeddings


def vectors(*data: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "m-1", "data": [{"index": index, "embedding": embedding} for index, embedding in data], "usage": {"prompt_tokens": 4}, **fields}


def b64(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


TWO = EmbedRequestV1(input=("a", "b"))


def test_vectors_come_in_the_order_of_the_texts() -> None:
    answer = answered(embed_answer(vectors((1, [3, 4]), (0, [1.5, 2])), TWO))
    assert answer.embeddings == [[1.5, 2.0], [3.0, 4.0]]
    assert answer.usage == UsageV1(input_tokens=4, output_tokens=0)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_the_encoding_asked_for_is_given_whatever_the_server_sends(encoding: Any) -> None:
    request = EmbedRequestV1(input=("a", "b"), encoding=encoding)
    expected = [[0.5, -2.0], [1.0, 0.25]] if encoding == "float" else [b64(0.5, -2), b64(1, 0.25)]
    for body in (vectors((0, [0.5, -2]), (1, [1, 0.25])), vectors((0, b64(0.5, -2)), (1, b64(1, 0.25)))):
        assert answered(embed_answer(body, request)).embeddings == expected


@pytest.mark.parametrize(
    "body",
    [vectors((0, [1])), vectors((0, [1]), (1, ["x"])), vectors((0, [1]), (1, "!")), vectors((0, [1]), (1, "AAA=")), vectors((0, [1]), (1, [])), {}, []],
)
def test_missing_or_unreadable_vectors_are_a_failure(body: Any) -> None:
    assert failed(embed_answer(body, TWO)).type == "unavailable"


def test_another_length_than_asked_for_is_refused() -> None:
    failure = failed(embed_answer(vectors((0, [1, 2])), EmbedRequestV1(input=("a",), dimensions=3)))
    assert failure.type == "invalid_request" and "2 dimensions, not 3" in failure.message
