"""What is sent: a request of about 1 KB, as JSON, and the shape in which the floor decodes it."""

import json

from pydantic import BaseModel

TEXT = "The quick brown fox jumps over the lazy dog, 0123456789. " * 14


class Turn(BaseModel):
    role: str
    content: str


class Sampling(BaseModel):
    temperature: float
    max_output_tokens: int
    stop: list[str]


class Document(BaseModel):
    """As many fields as a request has, with none of its rules."""

    id: str
    messages: list[Turn]
    sampling: Sampling
    metadata: dict[str, str]


def document(request_id: str) -> bytes:
    """One request, 1 KB: the same bytes for the floor and for the pipeline."""
    body = {
        "id": request_id,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": TEXT}],
        "sampling": {"temperature": 0.2, "max_output_tokens": 256, "stop": []},
        "metadata": {"source": "bench"},
    }
    return json.dumps(body).encode()
