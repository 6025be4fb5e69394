"""Embeddings bodies as our answers."""

import base64
import binascii
import math
import struct
from typing import Any

from contracts.outcome import UsageV1
from contracts.request import EmbedRequestV1

from ..protocol import Answer, Embeddings, Failure
from ..reading import text_or_none
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
    usage = _usage(body.get("usage"))
    if len(data) != len(request.input):
        return Failure("unavailable", f"the provider gave {len(data)} vectors for {len(request.input)} texts", usage=usage)
    try:
        vectors = [_floats(item.get("embedding")) for item in _in_order(data)]
    except (ValueError, struct.error, OverflowError) as error:
        return Failure("unavailable", f"the provider gave a vector that cannot be read: {error}", usage=usage)
    wrong = next((len(vector) for vector in vectors if request.dimensions not in (None, len(vector))), None)
    if wrong is not None:
        why = f"the model gives {wrong} dimensions, not {request.dimensions}; leave 'dimensions' out or choose a model that can shorten"
        return Failure("invalid_request", why, usage=usage)
    return Answer(
        embeddings=_encoded(vectors, request.encoding),
        usage=usage,
        response_model=text_or_none(body.get("model")),
        response_id=text_or_none(body.get("id")),
        cost_usd=cost_of(body.get("usage")),
    )


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


def _floats(embedding: Any) -> list[float]:
    """A vector, sent as numbers or as base64 of little-endian float32."""
    if isinstance(embedding, str):
        try:
            raw = base64.b64decode(embedding, validate=True)
        except binascii.Error as error:
            raise ValueError(f"no base64: {error}") from error
        if len(raw) % 4:
            raise ValueError(f"{len(raw)} bytes are no whole number of float32")
        numbers = list(struct.unpack(f"<{len(raw) // 4}f", raw))
    elif isinstance(embedding, list) and all(isinstance(number, int | float) and not isinstance(number, bool) for number in embedding):
        numbers = [float(number) for number in embedding]
    else:
        raise ValueError(f"neither numbers nor base64 but {type(embedding).__name__}")
    if not numbers or not all(map(math.isfinite, numbers)):
        raise ValueError("empty, or a number that is not finite")
    return numbers


def _encoded(vectors: list[list[float]], encoding: str) -> Embeddings:
    if encoding == "float":
        return vectors
    return [base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() for vector in vectors]
