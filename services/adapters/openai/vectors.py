"""Embeddings bodies as our answers."""

from dataclasses import replace
from typing import Any

from contracts.outcome import UsageV1
from contracts.request import EmbedRequestV1

from ..protocol import Answer, Failure
from ..reading import text_or_none
from ..vectors import embedded
from .answers import cost_of, unreadable, usage_of
from .errors import failure_in_body


def embed_answer(body: Any, request: EmbedRequestV1) -> Answer | Failure:
    """The body of a 200 to `POST /embeddings`, in the order of `input` and in the encoding that was asked for."""
    if not isinstance(body, dict):
        return unreadable("is not a JSON object")
    if body.get("error"):
        return failure_in_body(body["error"])
    data = body.get("data")
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        return unreadable("has no list 'data'")
    answer = embedded([item.get("embedding") for item in _in_order(data)], request, _usage(body.get("usage")))
    if isinstance(answer, Failure):
        return answer
    return replace(answer, response_model=text_or_none(body.get("model")), response_id=text_or_none(body.get("id")), cost_usd=cost_of(body.get("usage")))


def _usage(usage: Any) -> UsageV1:
    """Some, like Voyage, name the total alone: all of it is input."""
    named = {"prompt_tokens": usage.get("total_tokens"), **usage} if isinstance(usage, dict) else usage
    return usage_of(named, output_tokens=0)


def _in_order(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sorted by `index` where the indexes name each position once; else as they came."""
    indexes = [item.get("index") for item in data]
    if sorted(index for index in indexes if isinstance(index, int)) != list(range(len(data))):
        return data
    return sorted(data, key=lambda item: int(item["index"]))
