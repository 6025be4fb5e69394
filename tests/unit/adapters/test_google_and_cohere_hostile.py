"""Documented bodies of Google and Cohere with any value put anywhere in them: the outcome is an answer or a failure, never an exception."""

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.request import EmbedRequestV1
from services.adapters.cohere import answers as cohere
from services.adapters.cohere.errors import failure_of as failure_of_cohere
from services.adapters.cohere.stream import StreamedAnswer as StreamOfCohere
from services.adapters.gemini import answers as gemini
from services.adapters.gemini.errors import failure_in_body, failure_of
from services.adapters.gemini.stream import StreamedAnswer as StreamOfGoogle
from services.adapters.gemini.vectors import embed_answer
from services.adapters.protocol import Answer, Event, Failure

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEPT: dict[str, Any] = {"thoughtSignature": "cw==", "thought": True}
PARTS: list[dict[str, Any]] = [
    {"text": "a", **KEPT},
    {"functionCall": {"id": "i", "name": "f", "args": {"a": 1}}, **KEPT},
    {"functionCall": {"name": "g", "partialArgs": [{"jsonPath": "$.a[1].b", "stringValue": "x"}, {"jsonPath": "$.a", "numberValue": 1}], "willContinue": True}},
    {"functionCall": {"partialArgs": [{"jsonPath": "$.c['d']", "boolValue": True}]}},
    {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
    {"fileData": {"mimeType": "image/png", "fileUri": "https://x"}},
    {"executableCode": {"id": "c", "language": "PYTHON", "code": "1"}},
    {"codeExecutionResult": {"id": "c", "outcome": "OUTCOME_OK", "output": "2"}},
    {"toolCall": {"id": "t", "toolType": "FILE_SEARCH", "args": {}}},
    {"toolResponse": {"id": "t", "response": {}}},
]
GOOGLE = {
    "candidates": [
        {
            "content": {"role": "model", "parts": PARTS},
            "finishReason": "STOP",
            "finishMessage": "x",
            "citationMetadata": {"citations": [{"uri": "u"}]},
            "groundingMetadata": {"webSearchQueries": ["q"], "groundingChunks": [{"web": {"uri": "u"}}]},
            "urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "u"}]},
        }
    ],
    "promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "x"},
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "cachedContentTokenCount": 1, "totalTokenCount": 6},
    "modelVersion": "m",
    "responseId": "r",
}
STATUS = {
    "error": {
        "code": 429,
        "status": "RESOURCE_EXHAUSTED",
        "message": "x",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "X"},
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "PerDay"}]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"},
        ],
    }
}
VECTORS = [
    {"embeddings": [{"values": [1.0]}], "usageMetadata": {"promptTokenCount": 1}},
    {"embedding": {"values": [1.0]}},
    {"predictions": [{"embeddings": {"values": [1.0], "statistics": {"token_count": 1}}}]},
]
COHERE = {
    "id": "r",
    "finish_reason": "TOOL_CALL",
    "message": {
        "tool_plan": "p",
        "content": [{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "x"}],
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        "citations": [{"text": "x"}],
    },
    "usage": {"billed_units": {"input_tokens": 1, "output_tokens": 2}, "tokens": {"input_tokens": 1, "reasoning_tokens": 0}},
}
EVENTS = [
    {"type": "message-start", "id": "r", "delta": {"message": {}}},
    {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "p"}}},
    {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": "x"}}}},
    {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": {"id": "1", "function": {"name": "f", "arguments": "{}"}}}}},
    {"type": "citation-start", "index": 0, "delta": {"message": {"citations": {"text": "x"}}}},
    {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {"billed_units": {"input_tokens": 1}}}},
]
COHERE_VECTORS = {"embeddings": {"float": [[1.0]]}, "meta": {"billed_units": {"input_tokens": 1}}}
COHERE_ERROR = {"id": "1", "message": "too many tokens", "error_type": "X"}
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a body."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


@st.composite
def broken(draw: st.DrawFn, body: Any) -> Any:
    """The body with other values in up to two places."""
    changed = copy.deepcopy(body)
    for path in draw(st.lists(st.sampled_from(sorted(places(body), key=str)), min_size=1, max_size=2)):
        value = draw(JUNK)
        if not path:
            return value
        holder = changed
        try:
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = value
        except (TypeError, KeyError, IndexError):
            continue  # the first change took the second's place away
    return changed


@settings(deadline=None, max_examples=100)
@given(broken(GOOGLE) | broken(STATUS))
def test_any_answer_of_google(body: Any) -> None:
    assert isinstance(gemini.chat_answer(body), Answer | Failure)


@settings(deadline=None, max_examples=100)
@given(st.lists(broken(GOOGLE) | broken(STATUS), max_size=3))
def test_any_stream_of_google(chunks: list[Any]) -> None:
    stream = StreamOfGoogle()
    pieces = [piece for chunk in chunks for piece in stream.feed(Event(json.dumps(chunk)))]
    outcome = stream.result()
    message = outcome.message if isinstance(outcome, Answer) else outcome.partial
    parts = message.all_parts() if message is not None else ()
    assert all(piece.part < len(parts) and piece.type == parts[piece.part].type for piece in pieces)


@settings(deadline=None, max_examples=100)
@given(broken(STATUS), st.integers(400, 599))
def test_any_error_of_google(body: Any, status: int) -> None:
    assert failure_of(status, {}, json.dumps(body).encode(), NOW).message
    assert failure_in_body(body).message


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(VECTORS).flatmap(broken))
def test_any_vectors_of_google(body: Any) -> None:
    outcome = embed_answer(body, EmbedRequestV1(input=("a",)))
    assert isinstance(outcome, Failure) or len(outcome.embeddings or ()) == 1


@settings(deadline=None, max_examples=100)
@given(broken(COHERE))
def test_any_answer_of_cohere(body: Any) -> None:
    assert isinstance(cohere.chat_answer(body), Answer | Failure)


@settings(deadline=None, max_examples=100)
@given(broken(EVENTS))
def test_any_stream_of_cohere(events: Any) -> None:
    stream = StreamOfCohere()
    for event in events if isinstance(events, list) else [events]:
        stream.feed(Event(json.dumps(event)))
    assert isinstance(stream.result(), Answer | Failure)


@settings(deadline=None, max_examples=60)
@given(broken(COHERE_VECTORS) | broken(COHERE_ERROR), st.integers(400, 599))
def test_any_vectors_and_errors_of_cohere(body: Any, status: int) -> None:
    assert isinstance(cohere.embed_answer(body, EmbedRequestV1(input=("a",))), Answer | Failure)
    assert failure_of_cohere(status, {}, json.dumps(body).encode(), NOW).message
