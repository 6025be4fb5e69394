"""Cohere's v2 chat and embeddings, both ways: everything arrives, or is warned of, or is refused by name."""

import json
from typing import Any

import pytest

from catalog.kinds import kind_of
from contracts.content import Part, ReasoningPart, TextPart, ToolCallPart
from contracts.request import ChatRequestV1, EmbedRequestV1
from services.adapters.cohere.answers import chat_answer, embed_answer
from services.adapters.cohere.convert import chat_body, embed_body
from services.adapters.cohere.stream import StreamedAnswer
from services.adapters.conversion import Unconvertible
from services.adapters.protocol import Answer, DeltaPiece, Event, Failure
from services.adapters.sse import SseReader

USER = {"role": "user", "content": "hi"}
TOOLS = [{"name": name, "parameters": {"type": "object"}} for name in ("f", "g")]


def body(messages: list[dict[str, Any]], **fields: Any) -> tuple[dict[str, Any], list[str]]:
    wire, warnings = chat_body(ChatRequestV1.model_validate({"messages": messages, **fields}), "command-a", kind_of("cohere"), "mine")
    return wire, [warning.message for warning in warnings]


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def parts_of(outcome: Answer | Failure) -> tuple[Part, ...]:
    assert isinstance(outcome, Answer) and outcome.message is not None, outcome
    return outcome.message.all_parts()


def test_a_conversation_with_calls_is_written_in_cohere_words() -> None:
    turns: list[dict[str, Any]] = [
        {"role": "system", "content": "a"},
        {"role": "system", "content": "b"},
        user({"type": "text", "content": "look"}, {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA"}),
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "I will call f.", "provider_data": {"tool_plan": True}},
                {"type": "reasoning", "content": "hm"},
                {"type": "tool_call", "id": "1", "name": "f", "arguments": {"q": "ü"}},
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": {"x": 1}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "2", "response": [{"type": "document", "document": {"data": "d"}}]}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "3", "response": [{"type": "text", "content": "t"}]}]},
        {"role": "assistant", "parts": [{"type": "text", "content": "so", "provider_data": {"citations": [{"text": "so"}]}}]},
    ]
    wire, warnings = body(turns)
    assert not warnings
    assert wire["messages"] == [
        {"role": "system", "content": "a"},
        {"role": "system", "content": "b"},
        {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "hm"}],
            "tool_plan": "I will call f.",
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"q":"ü"}'}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": '{"x":1}'},
        {"role": "tool", "tool_call_id": "2", "content": [{"type": "document", "document": {"data": "d"}}]},
        {"role": "tool", "tool_call_id": "3", "content": [{"type": "text", "text": "t"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "so"}], "citations": [{"text": "so"}]},
    ]


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (
            user({"type": "blob", "modality": "audio", "mime_type": "audio/mpeg", "content": "AAAA"}),
            r"messages\.0\.parts\.0: cohere takes no audio in",
        ),
        (user({"type": "file", "modality": "document", "file_id": "f"}), r"messages\.0\.parts\.0: cohere takes no 'file' part"),
        ({"role": "assistant", "parts": [{"type": "uri", "modality": "image", "uri": "https://x"}]}, r"messages\.0\.parts\.0: .*assistant turn"),
        ({"role": "tool", "content": "42"}, r"messages\.0: a tool turn holds parts"),
    ],
)
def test_content_that_the_wire_cannot_say_is_refused_by_its_place(message: dict[str, Any], why: str) -> None:
    with pytest.raises(Unconvertible, match=why):
        body([message])


def test_choices_and_sampling_have_their_own_names_and_bounds() -> None:
    sampling = {"temperature": 0.5, "top_p": 1, "max_output_tokens": 7, "stop": ["x"], "seed": 3}
    wire, warnings = body([USER], tools=TOOLS, tool_choice="required", sampling=sampling, stream=True)
    assert {name: wire[name] for name in ("temperature", "p", "max_tokens", "stop_sequences", "seed", "stream", "tool_choice")} == {
        **sampling_as(0.5, 0.99, 7, ["x"], 3),
        "stream": True,
        "tool_choice": "REQUIRED",
    }
    assert warnings == ["sampling.top_p 1: cohere takes 0.99, the nearest that is allowed, instead"]
    assert "tool_choice" not in body([USER], tools=TOOLS, tool_choice="auto")[0] and body([USER], tools=TOOLS, tool_choice="none")[0]["tool_choice"] == "NONE"


def sampling_as(temperature: float, p: float, max_tokens: int, stop_sequences: list[str], seed: int) -> dict[str, Any]:
    return {"temperature": temperature, "p": p, "max_tokens": max_tokens, "stop_sequences": stop_sequences, "seed": seed}


def test_one_forced_tool_is_the_only_one_that_is_told() -> None:
    wire, warnings = body([USER], tools=TOOLS, tool_choice={"name": "g"})
    assert [tool["function"]["name"] for tool in wire["tools"]] == ["g"] and wire["tool_choice"] == "REQUIRED"
    assert warnings == ["tool_choice 'g': cohere takes this tool alone, and REQUIRED instead"]


def test_output_is_a_response_format_and_beside_tools_an_instruction() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    assert body([USER], output={"json_schema": schema})[0]["response_format"] == {"type": "json_object", "json_schema": schema}
    wire, warnings = body([USER], output={"json_schema": schema}, tools=TOOLS)
    assert "response_format" not in wire and json.dumps(schema, separators=(",", ":")) in wire["messages"][0]["content"] and len(warnings) == 1


def test_options_pass_through_and_what_is_owned_does_not() -> None:
    options = {"cohere": {"documents": ["d"], "thinking": {"type": "disabled"}, "messages": [], "model": "x"}}
    wire, warnings = body([USER], provider_options=options)
    assert wire["documents"] == ["d"] and wire["thinking"] == {"type": "disabled"} and wire["model"] == "command-a" and len(wire["messages"]) == 1
    assert len(warnings) == 2


def test_an_answer_has_its_plan_its_thoughts_its_text_and_its_calls() -> None:
    message = {
        "role": "assistant",
        "tool_plan": "I will.",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so"}],
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"q":1}'}}],
        "citations": [{"text": "so"}],
    }
    usage = {"billed_units": {"input_tokens": 5, "output_tokens": 2}, "tokens": {"input_tokens": 605, "output_tokens": 9}, "cached_tokens": 480}
    outcome = chat_answer({"id": "r", "finish_reason": "TOOL_CALL", "message": message, "usage": usage})
    assert parts_of(outcome) == (
        ReasoningPart(content="I will.", provider_data={"tool_plan": True}),
        ReasoningPart(content="hm"),
        TextPart(content="so", provider_data={"citations": [{"text": "so"}]}),
        ToolCallPart(id="1", name="f", arguments={"q": 1}),
    )
    assert isinstance(outcome, Answer) and outcome.finish_reason == "tool_call" and outcome.response_id == "r"
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens, outcome.usage.cache_read_tokens) == (5, 2, None)


def test_an_answer_goes_back_as_it_came() -> None:
    message = {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so"}],
        "tool_plan": "I will.",
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"q":1}'}}],
        "citations": [{"text": "so"}],
    }
    outcome = chat_answer({"message": message})
    assert isinstance(outcome, Answer) and outcome.message is not None
    assert body([USER, outcome.message.model_dump(exclude_none=True)])[0]["messages"][1] == message


@pytest.mark.parametrize(
    ("reason", "ours"),
    [("COMPLETE", "stop"), ("STOP_SEQUENCE", "stop"), ("MAX_TOKENS", "length"), ("TOOL_CALL", "tool_call"), ("ERROR", "error"), ("TIMEOUT", "error")],
)
def test_each_finish_reason_has_its_meaning(reason: str, ours: str) -> None:
    outcome = chat_answer({"message": {"content": [{"type": "text", "text": "x"}]}, "finish_reason": reason})
    assert isinstance(outcome, Answer) and outcome.finish_reason == ours


@pytest.mark.parametrize("given", [None, [], {}, {"message": None}, {"message": "too busy"}])
def test_a_body_without_a_message_is_a_failure(given: Any) -> None:
    assert isinstance(chat_answer(given), Failure)


def told(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    return {"type": kind, **({} if index is None else {"index": index}), "delta": {"message": message}}


EVENTS = [
    {"type": "message-start", "id": "r", "delta": {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}}},
    told("tool-plan-delta", tool_plan="I "),
    told("tool-plan-delta", tool_plan="will."),
    told("content-start", 0, content={"type": "thinking", "thinking": ""}),
    told("content-delta", 0, content={"thinking": "hm"}),
    told("content-end", 0),
    told("content-start", 1, content={"type": "text", "text": ""}),
    told("content-delta", 1, content={"text": "Grü"}),
    told("content-delta", 1, content={"text": "ße"}),
    told("citation-start", 0, citations={"text": "Grüße"}),
    told("tool-call-start", 0, tool_calls={"id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}),
    told("tool-call-delta", 0, tool_calls={"function": {"arguments": '{"q":'}}),
    told("tool-call-delta", 0, tool_calls={"function": {"arguments": "1}"}}),
    told("tool-call-start", 1, tool_calls={"id": "2", "type": "function", "function": {"name": "g", "arguments": "{}"}}),
    {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": {"billed_units": {"input_tokens": 3, "output_tokens": 4}}}},
]
STREAM = b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in EVENTS) + b"data: [DONE]\n\n"


def read(data: bytes, size: int) -> tuple[Answer | Failure, list[DeltaPiece]]:
    framing, answer, pieces = SseReader(), StreamedAnswer(), []
    for start in range(0, len(data), size):
        pieces += [piece for event in framing.feed(data[start : start + size]) for piece in answer.feed(event)]
    pieces += [piece for event in framing.close() for piece in answer.feed(event, cut=True)]
    return answer.result(), pieces


def test_a_stream_is_put_together_and_its_pieces_are_its_parts() -> None:
    outcome, pieces = read(STREAM, 1)
    assert parts_of(outcome) == (
        ReasoningPart(content="I will.", provider_data={"tool_plan": True}),
        ReasoningPart(content="hm"),
        TextPart(content="Grüße", provider_data={"citations": [{"text": "Grüße"}]}),
        ToolCallPart(id="1", name="f", arguments={"q": 1}),
        ToolCallPart(id="2", name="g", arguments={}),
    )
    assert isinstance(outcome, Answer) and (outcome.finish_reason, outcome.response_id, outcome.usage.output_tokens) == ("tool_call", "r", 4)
    texts = {at: "".join(piece.content or "" for piece in pieces if piece.part == at) for at in range(3)}
    assert texts == {0: "I will.", 1: "hm", 2: "Grüße"}
    assert "".join(piece.tool_call.arguments_delta for piece in pieces if piece.tool_call and piece.part == 3) == '{"q":1}'


def test_a_stream_cut_anywhere_is_the_same_answer_or_truncated() -> None:
    whole, _ = read(STREAM, len(STREAM))
    ends = STREAM.rindex(b'{"type": "message-end"')
    for cut in range(0, len(STREAM), 3):
        outcome, _ = read(STREAM[:cut], 11)
        assert outcome == whole or (isinstance(outcome, Failure) and outcome.type == "truncated_stream")
        assert cut >= ends or isinstance(outcome, Failure)


def test_an_error_at_the_end_of_a_stream_is_a_failure_with_what_had_arrived() -> None:
    answer = StreamedAnswer()
    for event in (*EVENTS[:9], {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "model is overloaded"}}):
        answer.feed(Event(json.dumps(event)))
    outcome = answer.result()
    assert isinstance(outcome, Failure) and outcome.type == "overloaded" and outcome.partial is not None and not outcome.usage_known_zero
    bare = StreamedAnswer()
    bare.feed(Event('{"id": "1", "message": "too many tokens: size limit exceeded"}'))
    ended = bare.result()
    assert isinstance(ended, Failure) and ended.type == "context_too_long"


def test_embeddings_say_what_they_are_for_and_options_may_change_it() -> None:
    request = EmbedRequestV1(input=("a", "b"), dimensions=2, provider_options={"cohere": {"input_type": "search_query", "embedding_types": ["int8"]}})
    wire, warnings = embed_body(request, "embed-v4.0", kind_of("cohere"))
    assert wire == {"model": "embed-v4.0", "texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["float"], "output_dimension": 2}
    assert len(warnings) == 1 and embed_body(EmbedRequestV1(input=("a",)), "m", kind_of("cohere"))[0]["input_type"] == "search_document"
    outcome = embed_answer({"embeddings": {"float": [[1, 2], [3, 4]]}, "meta": {"billed_units": {"input_tokens": 5}}}, request)
    assert isinstance(outcome, Answer) and outcome.embeddings == [[1.0, 2.0], [3.0, 4.0]]
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (5, 0)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ([], "unavailable"),
        ({}, "unavailable"),
        ({"embeddings": {"int8": [[1]]}}, "unavailable"),
        ({"embeddings": {"float": [[1, 2]]}}, "unavailable"),
        ({"embeddings": {"float": [[1], [2]]}}, "invalid_request"),
        ({"message": "too many tokens"}, "context_too_long"),
    ],
)
def test_vectors_that_are_not_what_was_asked_for_are_a_failure(given: Any, kind: str) -> None:
    outcome = embed_answer(given, EmbedRequestV1(input=("a", "b"), dimensions=2))
    assert isinstance(outcome, Failure) and outcome.type == kind
