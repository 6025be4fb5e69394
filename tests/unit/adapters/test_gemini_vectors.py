"""Embeddings of the Gemini API and of Vertex AI: what is asked, what comes back, and where."""

import base64
import struct
from typing import Any

import pytest

from catalog.kinds import kind_of
from contracts.request import ChatRequestV1, EmbedRequestV1
from services.adapters.gemini.wire import google
from services.adapters.protocol import Answer, Exchange, Failure

PROJECT = {"project": "p", "location": "europe-west4"}


def asked(type_name: str, model: str, *texts: str, options: dict[str, str] | None = None, **fields: Any) -> Exchange:
    request = EmbedRequestV1.model_validate({"input": texts, **fields})
    return google(kind_of(type_name), "mine", options or {}).embed(request, model)


def test_the_gemini_api_is_asked_for_all_texts_at_once() -> None:
    exchange = asked("gemini", "gemini-embedding-001", "a", "b", dimensions=8, provider_options={"gemini": {"taskType": "RETRIEVAL_QUERY", "content": "no"}})
    settings = {"outputDimensionality": 8, "taskType": "RETRIEVAL_QUERY"}
    assert exchange.path == "/models/gemini-embedding-001:batchEmbedContents"
    assert exchange.body["requests"] == [{"model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]}, **settings} for text in "ab"]
    assert [warning.message for warning in exchange.warnings] == ["provider_options.gemini.content: gemini does not take it; it was left out"]


def test_vertex_asks_gemini_embeddings_by_embed_content_and_older_ones_by_predict() -> None:
    base = "/projects/p/locations/europe-west4/publishers/google/models/"
    one = asked("vertex", "gemini-embedding-001", "a", options=PROJECT, dimensions=8)
    assert (one.path, one.body) == (
        f"{base}gemini-embedding-001:embedContent",
        {"content": {"parts": [{"text": "a"}]}, "embedContentConfig": {"outputDimensionality": 8}},
    )
    two = asked("vertex", "gemini-embedding-001", "a", "b", options=PROJECT)
    assert (two.path, two.body) == (f"{base}gemini-embedding-001:batchEmbedContents", {"requests": [{"content": {"parts": [{"text": text}]}} for text in "ab"]})
    old = asked(
        "vertex", "text-embedding-005", "a", options=PROJECT, dimensions=8, provider_options={"vertex": {"taskType": "CLUSTERING", "autoTruncate": False}}
    )
    assert (old.path, old.body) == (
        f"{base}text-embedding-005:predict",
        {"instances": [{"content": "a", "task_type": "CLUSTERING"}], "parameters": {"outputDimensionality": 8, "autoTruncate": False}},
    )


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"embeddings": [{"values": [1, 2.5]}], "usageMetadata": {"promptTokenCount": 3}}, 3),
        ({"embedding": {"values": [1, 2.5]}}, None),
        ({"predictions": [{"embeddings": {"values": [1, 2.5], "statistics": {"token_count": 4, "truncated": False}}}]}, 4),
    ],
)
def test_each_shape_of_an_answer_is_read(body: dict[str, Any], tokens: int | None) -> None:
    outcome = asked("gemini", "m", "a").whole(body)
    assert isinstance(outcome, Answer) and outcome.embeddings == [[1.0, 2.5]]
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (tokens, 0)
    packed = asked("gemini", "m", "a", encoding="base64").whole(body)
    assert isinstance(packed, Answer) and packed.embeddings == [base64.b64encode(struct.pack("<2f", 1, 2.5)).decode()]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ([], "unavailable"),
        ({}, "unavailable"),
        ({"embeddings": []}, "unavailable"),
        ({"embeddings": [{"values": [1]}, {"values": [1]}]}, "unavailable"),
        ({"embeddings": [{"values": ["x"]}]}, "unavailable"),
        ({"embeddings": [{"values": []}]}, "unavailable"),
        ({"embeddings": [{"values": [1, 2, 3]}]}, "invalid_request"),
        ({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, "rate_limited"),
    ],
)
def test_vectors_that_are_not_what_was_asked_for_are_a_failure(body: Any, kind: str) -> None:
    outcome = asked("gemini", "m", "a", dimensions=2).whole(body)
    assert isinstance(outcome, Failure) and outcome.type == kind


@pytest.mark.parametrize(
    ("type_name", "options", "model", "path"),
    [
        ("gemini", {}, "gemini-2.5-pro", "/models/gemini-2.5-pro"),
        ("gemini", {}, "tunedModels/mine-1", "/tunedModels/mine-1"),
        ("vertex", PROJECT, "gemini-2.5-pro", "/projects/p/locations/europe-west4/publishers/google/models/gemini-2.5-pro"),
        ("vertex", {"project": "p"}, "gemini-2.5-pro", "/projects/p/locations/global/publishers/google/models/gemini-2.5-pro"),
        ("vertex", PROJECT, "endpoints/123", "/projects/p/locations/europe-west4/endpoints/123"),
        ("vertex", PROJECT, "meta/llama", "/projects/p/locations/europe-west4/publishers/meta/models/llama"),
        ("vertex", PROJECT, "projects/q/locations/l/endpoints/1", "/projects/q/locations/l/endpoints/1"),
        ("vertex", {}, "gemini-2.5-pro", "/publishers/google/models/gemini-2.5-pro"),
    ],
)
def test_the_model_and_the_place_make_the_path(type_name: str, options: dict[str, str], model: str, path: str) -> None:
    request = ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "x"}]})
    wire = google(kind_of(type_name), "mine", options)
    assert wire.chat(request, model).path == f"{path}:generateContent"
    assert wire.chat(request.model_copy(update={"stream": True}), model).path == f"{path}:streamGenerateContent?alt=sse"
