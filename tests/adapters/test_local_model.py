"""The real small model behind its one base URL, as a process."""

import asyncio
import importlib.util
import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import aiohttp
import pytest

from contracts.content import text_of
from contracts.request import ChatRequestV1, EmbedRequestV1
from services.adapters.protocol import Answer, DeltaPiece, Failure
from services.local_model.parts import PACKAGES
from tests.support.clients import client_at

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(any(importlib.util.find_spec(name) is None for name in PACKAGES), reason="needs headrace[local] and requirements/model.txt"),
]


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    command = [sys.executable, "-m", "services.local_model", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}/v1"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def chat(base_url: str, model: str = "smollm2", timeout_s: float = 60, **fields: object) -> tuple[Answer | Failure, list[DeltaPiece]]:
    pieces: list[DeltaPiece] = []
    request = ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "Capital of France?"}], **fields})

    async def run() -> Answer | Failure:
        async with aiohttp.ClientSession() as session:
            client = client_at(session, base_url, "local")
            return await client.chat(request, model, timeout_s=timeout_s, idempotency_key="k", on_delta=pieces.append)

    return asyncio.run(run()), pieces


def embed(base_url: str, *texts: str, **fields: object) -> Answer | Failure:
    async def run() -> Answer | Failure:
        async with aiohttp.ClientSession() as session:
            client = client_at(session, base_url, "local")
            request = EmbedRequestV1.model_validate({"input": texts, **fields})
            return await client.embed(request, "wordllama", timeout_s=30, idempotency_key="k")

    return asyncio.run(run())


def words(outcome: Answer | Failure) -> str:
    assert isinstance(outcome, Answer) and outcome.message is not None, outcome
    return text_of(outcome.message.all_parts())


def test_a_streamed_answer_with_its_usage(base_url: str) -> None:
    outcome, pieces = chat(base_url, stream=True, sampling={"temperature": 0, "max_output_tokens": 12})
    assert words(outcome) and words(outcome) == "".join(piece.content or "" for piece in pieces)
    assert isinstance(outcome, Answer)
    assert outcome.finish_reason in ("length", "stop")
    assert 0 < (outcome.usage.output_tokens or 0) <= 12 and (outcome.usage.input_tokens or 0) > 20


def test_a_schema_is_held(base_url: str) -> None:
    schema = {"type": "object", "properties": {"size": {"enum": ["small", "large"]}}, "required": ["size"], "additionalProperties": False}
    outcome, _ = chat(base_url, output={"json_schema": schema}, sampling={"temperature": 0, "max_output_tokens": 40})
    assert json.loads(words(outcome))["size"] in ("small", "large")


def test_what_does_not_fit_is_too_long_and_what_does_not_exist_is_said_so(base_url: str) -> None:
    long, _ = chat(base_url, messages=[{"role": "user", "content": "word " * 5000}])
    assert isinstance(long, Failure) and long.type == "context_too_long" and long.usage_known_zero
    unknown, _ = chat(base_url, "gpt-9")
    assert isinstance(unknown, Failure) and (unknown.type, unknown.provider_code) == ("invalid_request", "model_not_found")


def test_related_texts_lie_closer_than_unrelated_ones(base_url: str) -> None:
    outcome = embed(base_url, "How do I get my money back?", "refund policy", "rainfall in the Andes", dimensions=128)
    assert isinstance(outcome, Answer) and outcome.embeddings is not None and outcome.usage.input_tokens
    question, related, unrelated = (vector for vector in outcome.embeddings if isinstance(vector, list))

    def closeness(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert len(question) == 128 and closeness(question, question) == pytest.approx(1, abs=1e-3)
    assert closeness(question, related) > closeness(question, unrelated)


def test_an_empty_text_is_refused(base_url: str) -> None:
    outcome = embed(base_url, "a", "")
    assert isinstance(outcome, Failure) and outcome.type == "invalid_request"
