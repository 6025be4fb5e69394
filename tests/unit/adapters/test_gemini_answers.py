"""generateContent bodies and streams as our answers: every field that tells something, every end that there is."""

import json
from typing import Any

import pytest

from contracts.content import BlobPart, Part, ReasoningPart, ServerToolCallPart, ServerToolCallResponsePart, TextPart, ToolCallPart
from services.adapters.gemini.answers import chat_answer
from services.adapters.gemini.stream import StreamedAnswer, listed_answer
from services.adapters.protocol import Answer, DeltaPiece, Event, Failure
from services.adapters.sse import SseReader


def body(*parts: dict[str, Any], reason: str | None = "STOP", **fields: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, **({"finishReason": reason} if reason else {}), **fields.pop("candidate", {})}
    return {"candidates": [candidate], "modelVersion": "gemini-x", "responseId": "r1", **fields}


def answered(given: Any) -> Answer:
    outcome = chat_answer(given)
    assert isinstance(outcome, Answer), outcome
    return outcome


def parts_of(outcome: Answer) -> tuple[Part, ...]:
    assert outcome.message is not None
    return outcome.message.all_parts()


def streamed(*chunks: Any) -> tuple[Answer | Failure, list[DeltaPiece]]:
    answer = StreamedAnswer()
    pieces = [piece for chunk in chunks for piece in answer.feed(Event(chunk if isinstance(chunk, str) else json.dumps(chunk)))]
    return answer.result(), pieces


def test_every_kind_of_part_is_read_and_what_only_google_understands_is_kept() -> None:
    code = {"executableCode": {"id": "c", "language": "PYTHON", "code": "1+1"}, "thoughtSignature": "cw=="}
    result = {"codeExecutionResult": {"id": "c", "outcome": "OUTCOME_OK", "output": "2"}}
    search = {"toolCall": {"id": "t", "toolType": "GOOGLE_SEARCH_WEB", "args": {"q": "x"}}}
    found = {"toolResponse": {"id": "t", "toolType": "GOOGLE_SEARCH_WEB", "response": {"r": 1}}}
    outcome = answered(
        body(
            {"text": "hm", "thought": True, "thoughtSignature": "YQ=="},
            {"text": "so", "thoughtSignature": "Yg=="},
            {"functionCall": {"id": "i", "name": "f", "args": {"a": 1}}, "thoughtSignature": "Yw=="},
            {"functionCall": {"name": "g"}},
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
            *(code, result, search, found),
        )
    )
    assert parts_of(outcome) == (
        ReasoningPart(content="hm", signature="YQ==", provider_data={"thought": True}),
        TextPart(content="so", provider_data={"thoughtSignature": "Yg=="}),
        ToolCallPart(id="i", name="f", arguments={"a": 1}, provider_data={"thoughtSignature": "Yw=="}),
        ToolCallPart(id="call_r1_1", name="g", arguments={}, provider_data={"invented_id": True}),
        BlobPart(modality="image", mime_type="image/png", content="AAAA"),
        ServerToolCallPart(id="c", name="code_execution", arguments={"language": "PYTHON", "code": "1+1"}, provider_data=code),
        ServerToolCallResponsePart(id="c", response={"outcome": "OUTCOME_OK", "output": "2"}, provider_data=result),
        ServerToolCallPart(id="t", name="GOOGLE_SEARCH_WEB", arguments={"q": "x"}, provider_data=search),
        ServerToolCallResponsePart(id="t", response={"r": 1}, provider_data=found),
    )
    assert outcome.finish_reason == "tool_call" and outcome.response_model == "gemini-x" and outcome.response_id == "r1"


def test_what_grounded_the_answer_stands_beside_it() -> None:
    grounding = {"webSearchQueries": ["q"], "groundingChunks": [{"web": {"uri": "u"}}], "searchEntryPoint": {"renderedContent": "<b>"}}
    outcome = answered(body({"text": "so"}, candidate={"groundingMetadata": grounding, "citationMetadata": {"citations": [{"uri": "c"}]}}))
    text, call, response = parts_of(outcome)
    assert text == TextPart(content="so", provider_data={"citationMetadata": {"citations": [{"uri": "c"}]}})
    assert isinstance(call, ServerToolCallPart) and (call.name, call.arguments) == ("google_search", {"queries": ["q"]})
    assert isinstance(response, ServerToolCallResponsePart) and response.response == grounding
    fetched = answered(body({"text": "so"}, candidate={"urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "u"}]}, "groundingMetadata": {}}))
    assert [part.name for part in parts_of(fetched) if isinstance(part, ServerToolCallPart)] == ["url_context"]


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        *(("STOP", "stop"), ("MAX_TOKENS", "length"), (None, "stop")),
        *((reason, "content_filter") for reason in ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "MODEL_ARMOR")),
        *((reason, "error") for reason in ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "LANGUAGE", "OTHER", "NO_IMAGE", "OF_TOMORROW")),
    ],
)
def test_each_finish_reason_has_its_meaning_and_a_bad_end_its_own_word(reason: str | None, ours: str) -> None:
    outcome = answered(body({"text": "x"}, reason=reason, candidate={"finishMessage": "because"}))
    assert outcome.finish_reason == ours
    assert [warning.message for warning in outcome.warnings] == ([] if reason in (None, "STOP", "MAX_TOKENS") else [f"{reason}: because"])


def test_a_call_of_an_undeclared_function_stays_visible_though_it_is_an_error() -> None:
    outcome = answered(body({"functionCall": {"name": "nobody", "args": {}}}, reason="UNEXPECTED_TOOL_CALL"))
    assert outcome.finish_reason == "error" and isinstance(parts_of(outcome)[0], ToolCallPart)


def test_a_blocked_prompt_is_a_failure_that_says_why_and_what_was_billed() -> None:
    given = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9}}
    for outcome in (chat_answer(given), streamed(given)[0]):
        assert isinstance(outcome, Failure) and outcome.type == "content_filtered" and outcome.provider_code == "PROHIBITED_CONTENT"
        assert outcome.usage is not None and (outcome.usage.input_tokens, outcome.usage.output_tokens) == (9, 0)


@pytest.mark.parametrize("given", [None, [], {}, {"candidates": []}, {"candidates": [7]}, {"candidates": [], "promptFeedback": {}}])
def test_a_body_without_a_candidate_is_a_failure(given: Any) -> None:
    outcome = chat_answer(given)
    assert isinstance(outcome, Failure) and outcome.type == "unavailable"


def test_thoughts_are_output_and_what_tools_brought_in_is_input() -> None:
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 60,
        "toolUsePromptTokenCount": 7,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 5,
        "totalTokenCount": 132,
    }
    told = answered(body({"text": "x"}, usageMetadata=usage)).usage
    assert (told.input_tokens, told.output_tokens, told.cache_read_tokens, told.reasoning_tokens) == (107, 25, 60, 5)
    unknown = answered(body({"text": "x"})).usage
    assert unknown.input_tokens is None and unknown.output_tokens is None and unknown.cache_read_tokens is None


def test_a_stream_is_put_together_and_its_pieces_are_its_parts() -> None:
    outcome, pieces = streamed(
        body({"text": "think", "thought": True}, reason=None, usageMetadata={"promptTokenCount": 3, "totalTokenCount": 3, "trafficType": "ON_DEMAND"}),
        body({"text": "ing", "thought": True}, {"text": "a"}, reason=None),
        body({"text": "b"}, reason=None, candidate={"groundingMetadata": {"groundingChunks": [{"retrievedContext": {}}]}}),
        body({"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "cw=="}, reason=None),
        body({"text": "", "thoughtSignature": "dA=="}, usageMetadata={"candidatesTokenCount": 4, "totalTokenCount": 7}, candidate={"groundingMetadata": {}}),
    )
    assert isinstance(outcome, Answer)
    thought, text, call, signed, *grounds = parts_of(outcome)
    assert isinstance(thought, ReasoningPart) and thought.content == "thinking"
    assert text == TextPart(content="ab") and signed == TextPart(content="", provider_data={"thoughtSignature": "dA=="})
    assert isinstance(call, ToolCallPart) and call.arguments == {"x": 1} and call.provider_data == {"thoughtSignature": "cw==", "invented_id": True}
    assert isinstance(grounds[0], ServerToolCallPart) and grounds[0].name == "file_search"
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens, outcome.finish_reason) == (3, 4, "tool_call")
    assert [(piece.part, piece.type, piece.content) for piece in pieces] == [
        *((0, "reasoning", "think"), (0, "reasoning", "ing"), (1, "text", "a"), (1, "text", "b"), (2, "tool_call", None)),
    ]


def test_a_text_that_carries_a_signature_is_not_joined_with_one_that_does_not() -> None:
    outcome, pieces = streamed(body({"text": "a"}, reason=None), body({"text": "b", "thoughtSignature": "cw=="}, reason=None), body({"text": "c"}))
    assert isinstance(outcome, Answer)
    assert parts_of(outcome) == (TextPart(content="a"), TextPart(content="b", provider_data={"thoughtSignature": "cw=="}), TextPart(content="c"))
    assert [piece.part for piece in pieces] == [0, 1, 2]


def test_arguments_that_are_streamed_by_json_paths_become_one_call() -> None:
    def piece(*args: dict[str, Any], more: bool = True, **fields: Any) -> dict[str, Any]:
        return {"functionCall": {**fields, **({"partialArgs": list(args)} if args else {}), **({"willContinue": True} if more else {})}}

    outcome, pieces = streamed(
        body({**piece(name="book", id="i"), "thoughtSignature": "cw=="}, reason=None),
        body(piece({"jsonPath": "$.city", "stringValue": "Par", "willContinue": True}), reason=None),
        body(piece({"jsonPath": "$.city", "stringValue": "is"}, {"jsonPath": "$.days[1].n", "numberValue": 2}), reason=None),
        body(piece({"jsonPath": "$['a b']", "boolValue": True}, {"jsonPath": "$.none", "nullValue": "NULL_VALUE"}), reason=None),
        body(piece(more=False), reason=None),
        body({"functionCall": {"name": "whole", "id": "j", "args": {"x": 1}}}),
    )
    assert isinstance(outcome, Answer)
    arguments = {"city": "Paris", "days": [None, {"n": 2}], "a b": True, "none": None}
    assert parts_of(outcome) == (
        ToolCallPart(id="i", name="book", arguments=arguments, provider_data={"thoughtSignature": "cw=="}),
        ToolCallPart(id="j", name="whole", arguments={"x": 1}),
    )
    assert [json.loads(piece.tool_call.arguments_delta) for piece in pieces if piece.tool_call] == [arguments, {"x": 1}]


STREAM = b"".join(
    b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n"
    for chunk in (
        body({"text": "Grü"}, reason=None),
        body({"text": "ße"}, {"functionCall": {"name": "f", "args": {"q": "ü"}}}, reason=None),
        body({"text": "!"}, usageMetadata={"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}),
    )
)


def read(data: bytes, size: int) -> tuple[Answer | Failure, list[DeltaPiece]]:
    framing, answer, pieces = SseReader(), StreamedAnswer(), []
    for start in range(0, len(data), size):
        pieces += [piece for event in framing.feed(data[start : start + size]) for piece in answer.feed(event)]
    pieces += [piece for event in framing.close() for piece in answer.feed(event, cut=True)]
    return answer.result(), pieces


def test_a_stream_cut_anywhere_is_the_same_answer_or_truncated_with_what_had_arrived() -> None:
    whole, _ = read(STREAM, len(STREAM))
    assert isinstance(whole, Answer)
    assert read(STREAM, 1)[0] == whole
    ends = STREAM.rindex(b"}") + 1
    for cut in range(len(STREAM)):
        outcome, pieces = read(STREAM[:cut], 7)
        if cut >= ends:
            assert outcome == whole
            continue
        assert isinstance(outcome, Failure) and outcome.type == "truncated_stream"
        arrived = "".join(part.content for part in outcome.partial.all_parts() if isinstance(part, TextPart)) if outcome.partial else ""
        assert arrived == "".join(piece.content or "" for piece in pieces)


def test_an_error_in_the_middle_of_a_stream_ends_it_as_that_failure() -> None:
    outcome, _ = streamed(body({"text": "a"}, reason=None), {"error": {"code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded."}})
    assert isinstance(outcome, Failure) and outcome.type == "overloaded" and outcome.partial is not None and not outcome.usage_known_zero


def test_a_stream_that_came_as_a_list_is_read_as_one() -> None:
    outcome = listed_answer([body({"text": "a"}, reason=None), body({"text": "b"})])
    assert isinstance(outcome, Answer) and parts_of(outcome) == (TextPart(content="ab"),)
    refused = listed_answer([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}])
    assert isinstance(refused, Failure) and refused.type == "rate_limited"


@pytest.mark.parametrize("chunk", ["{", "7", "[1]"])
def test_an_event_that_cannot_be_read_is_a_failure(chunk: str) -> None:
    outcome, _ = streamed(chunk)
    assert isinstance(outcome, Failure) and outcome.type == "unavailable"


def test_a_piece_at_an_index_that_no_list_of_arguments_reaches_is_left_out() -> None:
    far, near = ({"jsonPath": f"$.a[{index}]", "numberValue": 1} for index in (20_000, 1))
    outcome, _ = streamed(body({"functionCall": {"name": "f", "partialArgs": [far, near]}}))
    assert isinstance(outcome, Answer)
    assert [part.arguments for part in parts_of(outcome) if isinstance(part, ToolCallPart)] == [{"a": [None, 1]}]
