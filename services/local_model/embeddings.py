"""OpenAI-shaped embeddings by WordLlama."""

import base64
from typing import Any

from .parts import EMBEDDING_MODEL

MAX_INPUTS = 2048


class Refused(ValueError):
    """The request cannot be served; the text says why."""


def texts_of(body: Any) -> list[str]:
    """The texts in a request's `input`, a string or a list of strings."""
    given = body.get("input") if isinstance(body, dict) else None
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise Refused("'input' must be a string or a list of strings, none of them empty")
    if len(texts) > MAX_INPUTS:
        raise Refused(f"'input' holds {len(texts)} texts; at most {MAX_INPUTS} fit")
    return texts


def embed(model: Any, body: Any) -> dict[str, Any]:
    """The answer to `POST /v1/embeddings`: normalised vectors, shortened to `dimensions` where asked. Raises Refused."""
    import numpy

    texts = texts_of(body)
    vectors = numpy.nan_to_num(numpy.asarray(model.embed(texts), dtype=numpy.float32))
    width = body.get("dimensions") or vectors.shape[1]
    if not isinstance(width, int) or not 1 <= width <= vectors.shape[1]:
        raise Refused(f"'dimensions' must be between 1 and {vectors.shape[1]}, not {width!r}")
    vectors = vectors[:, :width]
    lengths = numpy.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = numpy.divide(vectors, lengths, out=numpy.zeros_like(vectors), where=lengths > 0)
    as_base64 = body.get("encoding_format") == "base64"
    tokens = sum(sum(encoding.attention_mask) for encoding in model.tokenize(texts))
    return {
        "object": "list",
        "model": EMBEDDING_MODEL,
        "data": [{"object": "embedding", "index": index, "embedding": _encoded(vector, as_base64)} for index, vector in enumerate(vectors)],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _encoded(vector: Any, as_base64: bool) -> str | list[float]:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode() if as_base64 else [float(number) for number in vector]
