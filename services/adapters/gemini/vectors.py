"""Embeddings of the Gemini API and of Vertex AI, which has three ways to ask for them."""

from collections.abc import Iterable
from typing import Any

from catalog.kinds import ProviderKind
from contracts.outcome import UsageV1, WarningV1
from contracts.request import EmbedRequestV1

from ..conversion import Conversion, merge_options
from ..protocol import Answer, Body, Failure
from ..reading import count_or_none
from ..vectors import embedded
from .answers import unreadable
from .errors import failure_in_body

OWNED = frozenset({"model", "content", "requests", "instances"})
OF_INSTANCES = frozenset({"task_type", "title"})
"""Options of `:predict` that stand in each instance; all others are parameters."""


def settings_of(request: EmbedRequestV1, kind: ProviderKind, provider_id: str | None) -> tuple[Body, tuple[WarningV1, ...]]:
    """What is asked of every text alike: outputDimensionality and the provider's options (taskType, title, autoTruncate …)."""
    conversion = Conversion(kind)
    settings: Body = {} if request.dimensions is None else {"outputDimensionality": request.dimensions}
    merge_options(settings, request.provider_options, conversion, provider_id, owned=OWNED)
    return settings, tuple(conversion.warnings)


def batch_body(request: EmbedRequestV1, model: str, settings: Body) -> Body:
    """`models/…:batchEmbedContents` of the Gemini API."""
    name = model if "/" in model else f"models/{model}"
    return {"requests": [{"model": name, "content": _content(text), **settings} for text in request.input]}


def cloud_body(request: EmbedRequestV1, settings: Body) -> tuple[str, Body]:
    """The method and body of Vertex AI's Gemini embeddings."""
    configured = {"embedContentConfig": settings} if settings else {}
    if len(request.input) == 1:
        return "embedContent", {"content": _content(request.input[0]), **configured}
    return "batchEmbedContents", {"requests": [{"content": _content(text), **configured} for text in request.input]}


def predict_body(request: EmbedRequestV1, settings: Body) -> Body:
    """`:predict` of Vertex AI's older models (text-embedding-…). Here Google writes task_type."""
    named = {"task_type" if name == "taskType" else name: value for name, value in settings.items()}
    each = {name: value for name, value in named.items() if name in OF_INSTANCES}
    parameters = {name: value for name, value in named.items() if name not in OF_INSTANCES}
    body: Body = {"instances": [{"content": text, **each} for text in request.input]}
    return {**body, "parameters": parameters} if parameters else body


def _content(text: str) -> Body:
    return {"parts": [{"text": text}]}


def embed_answer(body: Any, request: EmbedRequestV1) -> Answer | Failure:
    """The body of a 200 to any of the four: `embeddings`, `embedding` or `predictions`."""
    if not isinstance(body, dict):
        return unreadable("is not a JSON object")
    if body.get("error"):
        return failure_in_body(body["error"])
    found = _listed(body)
    if found is None:
        return unreadable("has no embeddings")
    return embedded([one.get("values") for one in found], request, _usage(body, found))


def _listed(body: Body) -> list[Body] | None:
    one, many, predictions = body.get("embedding"), body.get("embeddings"), body.get("predictions")
    if isinstance(one, dict):
        return [one]
    if isinstance(predictions, list):
        many = [prediction.get("embeddings") if isinstance(prediction, dict) else None for prediction in predictions]
    return many if isinstance(many, list) and many and all(isinstance(entry, dict) for entry in many) else None


def _usage(body: Body, found: Iterable[Body]) -> UsageV1:
    """usageMetadata, or the sum of what each vector's statistics tell."""
    usage = body.get("usageMetadata")
    told = count_or_none(usage.get("promptTokenCount")) if isinstance(usage, dict) else None
    if told is None:
        each = [count_or_none(facts.get("token_count")) if isinstance(facts := one.get("statistics"), dict) else None for one in found]
        told = None if None in each else sum(count for count in each if count is not None)
    return UsageV1(input_tokens=told, output_tokens=0)
