"""Converse bodies, event streams and exceptions, against botocore's own encoder and decoder where there is one."""

import json
import struct
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from contracts.content import ServerToolCallPart, ServerToolCallResponsePart, TextPart, ToolCallPart
from services.adapters.bedrock.answers import converse_answer
from services.adapters.bedrock.errors import failure_of
from services.adapters.bedrock.framing import EventStreamReader
from services.adapters.bedrock.stream import StreamedConverse
from services.adapters.protocol import Answer, DeltaPiece, Event, Failure

NOW = datetime(2026, 11, 21, tzinfo=UTC)
USAGE = {
    "inputTokens": 10,
    "outputTokens": 20,
    "totalTokens": 200,
    "cacheReadInputTokens": 100,
    "cacheWriteInputTokens": 70,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 30}, {"ttl": "5m", "inputTokens": 40}],
}


def framed(payload: bytes, **headers: str) -> bytes:
    """A message as the specification frames it."""
    raw = b"".join(_header(name.replace("_", "-"), value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(raw) + len(payload), len(raw))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + raw + payload
    return message + struct.pack(">I", zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    key = f":{name}".encode()
    return bytes([len(key)]) + key + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()


def event(kind: str, **data: Any) -> bytes:
    return framed(json.dumps(data).encode(), event_type=kind, content_type="application/json", message_type="event")


STREAM = (
    event("messageStart", role="assistant"),
    event("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"text": "hm"}}),
    event("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"signature": "sig"}}),
    event("contentBlockStop", contentBlockIndex=0),
    event("contentBlockDelta", contentBlockIndex=1, delta={"text": "Grü"}),
    event("contentBlockDelta", contentBlockIndex=1, delta={"text": "ße"}),
    event("contentBlockStart", contentBlockIndex=2, start={"toolUse": {"toolUseId": "t1", "name": "look"}}),
    event("contentBlockDelta", contentBlockIndex=2, delta={"toolUse": {"input": '{"q":'}}),
    event("contentBlockDelta", contentBlockIndex=2, delta={"toolUse": {"input": " 1}"}}),
    event("contentBlockStart", contentBlockIndex=3, start={"toolUse": {"toolUseId": "t2", "name": "stay"}}),
    event("messageStop", stopReason="tool_use"),
    event("metadata", usage=USAGE, metrics={"latencyMs": 1}),
)


def read(chunks: list[bytes], tool: str | None = None) -> tuple[Answer | Failure, list[DeltaPiece]]:
    framing, streamed, pieces = EventStreamReader(), StreamedConverse(tool), []
    for chunk in chunks:
        for found in framing.feed(chunk):
            pieces += streamed.feed(found)
    return streamed.result(), pieces


def test_a_stream_is_the_same_however_it_is_cut_and_told_in_pieces_by_part() -> None:
    whole = b"".join(STREAM)
    outcome, pieces = read([whole[at : at + 1] for at in range(len(whole))])
    assert (outcome, pieces) == read([whole])
    assert isinstance(outcome, Answer) and outcome.message is not None
    thought, text, look, stay = outcome.message.all_parts()
    assert thought.type == "reasoning" and (thought.content, thought.signature) == ("hm", "sig") and text == TextPart(content="Grüße")
    assert (look, stay) == (ToolCallPart(id="t1", name="look", arguments={"q": 1}), ToolCallPart(id="t2", name="stay", arguments={}))
    assert [(piece.part, piece.content or (piece.tool_call and piece.tool_call.arguments_delta)) for piece in pieces] == [
        (0, "hm"),
        (1, "Grü"),
        (1, "ße"),
        (2, ""),
        (2, '{"q":'),
        (2, " 1}"),
        (3, ""),
    ]
    assert (outcome.finish_reason, outcome.usage.input_tokens, outcome.usage.cache_write_1h_tokens) == ("tool_call", 180, 30)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=40)), max_size=4), st.integers(1, 64))
def test_messages_are_framed_as_botocore_frames_them(messages: list[tuple[str, bytes]], size: int) -> None:
    raw = b"".join(framed(payload, event_type=name or "e", message_type="event") for name, payload in messages)
    oracle = EventStreamBuffer()
    oracle.add_data(raw)
    expected = [Event(found.payload.decode("utf-8", "replace"), found.headers[":event-type"]) for found in oracle]
    framing = EventStreamReader()
    assert [found for at in range(0, len(raw), size) for found in framing.feed(raw[at : at + size])] == expected


@pytest.mark.parametrize("at", [0, 9, 14, -6, -1])
def test_a_byte_that_is_not_as_it_was_sent_is_noticed(at: int) -> None:
    raw = bytearray(STREAM[4])
    raw[at] ^= 1
    with pytest.raises(ValueError, match="checksum"):
        EventStreamReader().feed(bytes(raw))


def test_a_length_beyond_the_specification_is_not_waited_for() -> None:
    prelude = struct.pack(">II", 1 << 30, 0)
    with pytest.raises(ValueError, match="bytes"):
        EventStreamReader().feed(prelude + struct.pack(">I", zlib.crc32(prelude)))


def test_a_stream_that_ends_before_its_stop_is_truncated_and_one_that_lacks_the_usage_is_whole() -> None:
    cut, _ = read([*STREAM[:6], STREAM[6][:-3]])
    unpriced, _ = read(list(STREAM[:-1]))
    assert isinstance(cut, Failure) and cut.type == "truncated_stream" and cut.partial is not None
    assert isinstance(unpriced, Answer) and unpriced.usage.input_tokens is None


def test_a_stream_cut_at_every_tenth_byte_is_truncated_until_its_stop_has_come() -> None:
    whole, stopped = b"".join(STREAM), len(b"".join(STREAM[:-1]))
    for at in range(0, len(whole), 10):
        outcome, _ = read([whole[:at]])
        assert isinstance(outcome, Answer) if at >= stopped else isinstance(outcome, Failure) and outcome.type == "truncated_stream", at


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("throttlingException", "rate_limited"),
        ("modelStreamErrorException", "unavailable"),
        ("internalServerException", "unavailable"),
        ("serviceUnavailableException", "overloaded"),
        ("validationException", "invalid_request"),
    ],
)
def test_an_exception_in_a_stream_is_a_failure_with_what_had_arrived(name: str, expected: str) -> None:
    thrown = framed(json.dumps({"message": "no"}).encode(), exception_type=name, message_type="exception")
    outcome, _ = read([*STREAM[:6], thrown, STREAM[6]])
    assert isinstance(outcome, Failure) and (outcome.type, outcome.message, outcome.provider_code) == (expected, "no", name)
    assert outcome.partial is not None and outcome.partial.all_parts()[1] == TextPart(content="Grüße") and not outcome.usage_known_zero


def test_an_unmodelled_error_in_a_stream() -> None:
    outcome, _ = read([framed(b"", message_type="error", error_code="InternalFailure", error_message="broken")])
    assert isinstance(outcome, Failure) and (outcome.type, outcome.message, outcome.provider_code) == ("unavailable", "broken", "InternalFailure")


def test_the_input_of_the_output_tool_is_the_answers_text_whole_and_streamed() -> None:
    block = {"toolUse": {"toolUseId": "t", "name": "answer", "input": {"n": 1}}}
    whole = converse_answer({"output": {"message": {"content": [block]}}, "stopReason": "tool_use"}, "answer")
    begun = event("contentBlockStart", contentBlockIndex=0, start={"toolUse": {"toolUseId": "t", "name": "answer"}})
    pieces = [event("contentBlockDelta", contentBlockIndex=0, delta={"toolUse": {"input": text}}) for text in ('{"n"', ":1}")]
    streamed, told = read([begun, *pieces, STREAM[10]], "answer")
    assert isinstance(whole, Answer) and isinstance(streamed, Answer) and whole.message == streamed.message and whole.message is not None
    assert whole.message.all_parts() == (TextPart(content='{"n":1}'),) and whole.finish_reason == streamed.finish_reason == "stop"
    assert [(piece.type, piece.content) for piece in told] == [("text", '{"n"'), ("text", ":1}")]


def test_server_tools_and_citations_keep_their_blocks() -> None:
    call = {"toolUse": {"toolUseId": "s", "name": "nova_grounding", "input": {"query": "q"}, "type": "server_tool_use"}}
    result = {"toolResult": {"toolUseId": "s", "content": [{"text": "r"}], "status": "success", "type": "nova_grounding_result"}}
    cited = {"citationsContent": {"content": [{"text": "a"}, {"text": "b"}], "citations": [{"title": "t"}]}}
    answer = converse_answer({"output": {"message": {"content": [call, result, cited]}}, "stopReason": "end_turn", "usage": USAGE})
    assert isinstance(answer, Answer) and answer.message is not None
    assert answer.message.all_parts() == (
        ServerToolCallPart(id="s", name="nova_grounding", arguments={"query": "q"}, provider_data={"bedrock_block": call}),
        ServerToolCallResponsePart(id="s", response=[{"text": "r"}], provider_data={"bedrock_block": result}),
        TextPart(content="ab", provider_data={"bedrock_block": cited}),
    )


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_tool_use", "error"),
        ("malformed_model_output", "error"),
        ("what_comes_next", "stop"),
    ],
)
def test_stop_reasons(reason: str, finish: str) -> None:
    answer = converse_answer({"output": {"message": {"content": [{"text": "a"}]}}, "stopReason": reason, "usage": {}})
    assert isinstance(answer, Answer) and answer.finish_reason == finish and answer.usage.input_tokens is None


@pytest.mark.parametrize("body", [[], None, {}, {"output": []}, {"output": {"message": []}}, {"output": {"message": {"content": [1]}}}])
def test_a_200_that_says_nothing_we_understand_may_have_been_billed(body: Any) -> None:
    outcome = converse_answer(body)
    assert isinstance(outcome, Failure) and outcome.type == "unavailable" and not outcome.usage_known_zero


TAIL = ":http://internal.amazon.com/coral/com.amazon.bedrock/"


@pytest.mark.parametrize(
    ("status", "name", "message", "expected"),
    [
        (400, "ValidationException", "Malformed input request", "invalid_request"),
        (400, "ValidationException", "Input Tokens Exceeded: Number of input tokens exceeds maximum length.", "context_too_long"),
        (400, "ValidationException", "Input is too long for requested model.", "context_too_long"),
        (400, "ValidationException", "The model returned the following errors: prompt is too long: 2 tokens > 1 maximum", "context_too_long"),
        (400, "ServiceQuotaExceededException", "", "quota_exhausted"),
        (403, "AccessDeniedException", "", "auth"),
        (403, "ExpiredTokenException", "", "auth"),
        (403, "UnrecognizedClientException", "", "auth"),
        (403, "InvalidSignatureException", "", "auth"),
        (404, "ResourceNotFoundException", "", "invalid_request"),
        (408, "ModelTimeoutException", "", "timeout"),
        (424, "ModelErrorException", "", "unavailable"),
        (429, "ThrottlingException", "Too many tokens, please wait before trying again.", "rate_limited"),
        (429, "ModelNotReadyException", "", "overloaded"),
        (500, "InternalServerException", "", "unavailable"),
        (503, "ServiceUnavailableException", "", "overloaded"),
        (502, "", "", "unavailable"),
        (413, "", "", "context_too_long"),
    ],
)
def test_each_exception_has_its_class(status: int, name: str, message: str, expected: str) -> None:
    headers = CIMultiDict({"X-Amzn-ErrorType": name + TAIL, "Retry-After": "2"} if name else {"Retry-After": "2"})
    by_header = failure_of(status, headers, json.dumps({"message": message}).encode(), NOW)
    by_body = failure_of(status, CIMultiDict(), json.dumps({"__type": f"com.amazon.bedrock#{name}", "Message": message}).encode(), NOW)
    assert (by_header.type, by_header.retry_after_s, by_header.provider_code) == (expected, 2, name or str(status))
    assert by_body.type == expected and by_header.usage_known_zero == (status not in (408, 424, 504))


def test_a_refused_signature_does_not_repeat_what_was_signed() -> None:
    said = "The request signature we calculated does not match.\n\nThe Canonical String for this request should have been\n'POST\nx-amz-security-token:IQoJb3'"
    failure = failure_of(403, CIMultiDict({"x-amzn-errortype": "InvalidSignatureException"}), json.dumps({"message": said}).encode(), NOW)
    assert (failure.type, failure.message) == ("auth", "The request signature we calculated does not match.")
