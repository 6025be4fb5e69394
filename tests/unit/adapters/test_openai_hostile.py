"""Whatever JSON a provider sends, the outcome is an answer or a failure, never an exception."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.request import EmbedRequestV1
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
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.sampled_from(["stop", "text", "AAAAAA==", "{}"])
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=25)
CALLS = st.lists(st.fixed_dictionaries({}, optional={"id": SCALARS, "index": SCALARS, "function": JSON}), max_size=3)
MESSAGES = st.fixed_dictionaries({}, optional={"content": JSON, "tool_calls": CALLS | JSON, "refusal": SCALARS, "reasoning": SCALARS, "function_call": JSON})
CHOICES = st.fixed_dictionaries({"message": MESSAGES, "delta": MESSAGES}, optional={"finish_reason": SCALARS, "index": SCALARS})
BODIES = JSON | st.fixed_dictionaries({"choices": st.lists(CHOICES, max_size=2)}, optional={"usage": JSON, "id": SCALARS, "model": SCALARS, "error": JSON})
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
