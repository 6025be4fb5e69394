"""Vectors that providers gave, checked against what was asked for and written as it was. Pure."""

import base64
import binascii
import math
import struct
from collections.abc import Sequence
from typing import Any

from contracts.outcome import UsageV1
from contracts.request import EmbedRequestV1

from .protocol import Answer, Failure


def embedded(found: Sequence[Any], request: EmbedRequestV1, usage: UsageV1) -> Answer | Failure:
    """The answer that these vectors make, in their order; a failure where one is missing, cannot be read or has other dimensions."""
    if len(found) != len(request.input):
        return Failure("unavailable", f"the provider gave {len(found)} vectors for {len(request.input)} texts", usage=usage)
    try:
        vectors = [floats_of(one) for one in found]
    except (ValueError, struct.error, OverflowError) as error:
        return Failure("unavailable", f"the provider gave a vector that cannot be read: {error}", usage=usage)
    wrong = next((len(vector) for vector in vectors if request.dimensions not in (None, len(vector))), None)
    if wrong is not None:
        why = f"the model gives {wrong} dimensions, not {request.dimensions}; leave 'dimensions' out or choose a model that can shorten"
        return Failure("invalid_request", why, usage=usage)
    if request.encoding == "float":
        return Answer(embeddings=vectors, usage=usage)
    return Answer(embeddings=[base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() for vector in vectors], usage=usage)


def floats_of(vector: Any) -> list[float]:
    """A vector, sent as numbers or as base64 of little-endian float32. Raises ValueError."""
    if isinstance(vector, str):
        try:
            raw = base64.b64decode(vector, validate=True)
        except binascii.Error as error:
            raise ValueError(f"no base64: {error}") from error
        if len(raw) % 4:
            raise ValueError(f"{len(raw)} bytes are no whole number of float32")
        numbers = list(struct.unpack(f"<{len(raw) // 4}f", raw))
    elif isinstance(vector, list) and all(isinstance(number, int | float) and not isinstance(number, bool) for number in vector):
        numbers = [float(number) for number in vector]
    else:
        raise ValueError(f"neither numbers nor base64 but {type(vector).__name__}")
    if not numbers or not all(map(math.isfinite, numbers)):
        raise ValueError("empty, or a number that is not finite")
    return numbers
