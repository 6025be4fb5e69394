"""Whatever JSON a provider sends, the outcome is an answer or a failure, never an exception."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.request import EmbedRequestV1
from services.adapters.ollama.answers import chat_answer as ollama_answer
from services.adapters.ollama.answers import embed_answer as ollama_vectors
from services.adapters.ollama.stream import StreamedAnswer as OllamaStream
from services.adapters.openai.answers import chat_answer
from services.adapters.openai.errors import failure_of
from services.adapters.openai.stream import StreamedAnswer
from services.adapters.openai.vectors import embed_answer
from services.adapters.protocol import Answer, Event, Failure

NAMES = st.sampled_from(
    [
        *(
            "choices",
            "message",
            "delta",
            "content",
            "tool_calls",
            "function",
            "name",
            "arguments",
            "id",
            "index",
            "finish_reason",
            "error",
            "code",
            "type",
            "usage",
        ),
        *(
            "prompt_tokens",
            "prompt_tokens_details",
            "cached_tokens",
            "completion_tokens",
            "cost",
            "refusal",
            "reasoning",
            "data",
            "embedding",
            "detail",
            "function_call",
        ),
        *("text", "summary", "signature", "output", "transcript", "metadata", "x_groq", "total_tokens", "cost_in_usd_ticks", "custom", "input"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.sampled_from(["stop", "text", "AAAAAA==", "{}"])
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=25)
CALLS = st.lists(st.fixed_dictionaries({}, optional={"id": SCALARS, "index": SCALARS, "function": JSON, "custom": JSON, "extra_content": JSON}), max_size=3)
DETAILS = st.lists(st.fixed_dictionaries({}, optional={"type": SCALARS, "index": SCALARS, "text": SCALARS, "data": JSON, "signature": JSON}), max_size=3)
EXECUTED = st.lists(st.fixed_dictionaries({}, optional={"type": SCALARS, "index": JSON, "arguments": JSON, "output": JSON}), max_size=2)
AUDIO = st.fixed_dictionaries({}, optional={"id": SCALARS, "data": JSON, "transcript": SCALARS})
BESIDE = {"reasoning_details": DETAILS | JSON, "executed_tools": EXECUTED | JSON, "audio": AUDIO | JSON, "annotations": JSON, "context": JSON}
PLAIN = {"content": JSON, "tool_calls": CALLS | JSON, "refusal": SCALARS, "reasoning": SCALARS, "function_call": JSON}
MESSAGES = st.fixed_dictionaries({}, optional={**PLAIN, **BESIDE})
CHOICES = st.fixed_dictionaries({"message": MESSAGES, "delta": MESSAGES}, optional={"finish_reason": SCALARS, "index": SCALARS})
BODIES = JSON | st.fixed_dictionaries(
    {"choices": st.lists(CHOICES, max_size=2)}, optional={"usage": JSON, "id": SCALARS, "model": SCALARS, "error": JSON, "x_groq": JSON, "citations": JSON}
)
VECTORS = st.fixed_dictionaries({"data": st.lists(st.fixed_dictionaries({"index": SCALARS, "embedding": JSON}), max_size=2)}, optional={"usage": JSON})


@settings(deadline=None)
@given(BODIES)
def test_any_chat_body(body: Any) -> None:
    assert isinstance(chat_answer(body), Answer | Failure)


@settings(deadline=None)
@given(st.lists(BODIES, max_size=4))
def test_any_stream(events: list[Any]) -> None:
    stream = StreamedAnswer()
    for event in events:
        stream.feed(Event(json.dumps(event)))
    outcome = stream.result()
    assert isinstance(outcome, Answer | Failure)


@settings(deadline=None)
@given(JSON | VECTORS)
def test_any_embeddings_body(body: Any) -> None:
    outcome = embed_answer(body, EmbedRequestV1(input=("a", "b")))
    assert isinstance(outcome, Failure) or len(outcome.embeddings or ()) == 2


@settings(deadline=None)
@given(st.integers(400, 599), JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40), st.text(max_size=8))
def test_any_error_body(status: int, body: bytes, after: str) -> None:
    outcome = failure_of(status, {"retry-after": after}, body, datetime(2026, 1, 1, tzinfo=UTC))
    assert outcome.message and (outcome.retry_after_s is None or outcome.retry_after_s >= 0)


OLLAMA = st.fixed_dictionaries(
    {}, optional={"message": JSON | st.fixed_dictionaries({}, optional={"content": SCALARS, "thinking": SCALARS, "tool_calls": CALLS | JSON})}
)
LINES = JSON | st.builds(lambda body, rest: {**body, **rest}, OLLAMA, st.fixed_dictionaries({}, optional={"done": SCALARS, "done_reason": JSON, "error": JSON}))


@settings(deadline=None)
@given(LINES, st.lists(LINES, max_size=4), st.fixed_dictionaries({"embeddings": st.lists(JSON, max_size=2)}) | JSON)
def test_any_body_of_ollamas_own_api(body: Any, lines: list[Any], vectors: Any) -> None:
    stream = OllamaStream()
    for line in lines:
        stream.feed(Event(json.dumps(line)))
    outcomes = ollama_answer(body), stream.result(), ollama_vectors(vectors, EmbedRequestV1(input=("a", "b")))
    assert all(isinstance(outcome, Answer | Failure) for outcome in outcomes)
