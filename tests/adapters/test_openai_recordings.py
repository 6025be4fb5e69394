"""Recorded traffic of real OpenAI-compatible providers, served over real HTTP: all of it is understood, streams at any cut."""

import asyncio
import importlib.util
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from contracts.request import ChatRequestV1, EmbedRequestV1
from services.adapters.protocol import Answer, DeltaPiece, Failure
from tests.support.clients import client_at

CORPUS = Path(os.environ.get("HEADRACE_CORPUS") or Path(__file__).parents[3] / "shared" / "corpus")
PROVIDERS = ("openai", "vllm", "ollama", "local", "compatible", "deepseek", "groq", "openrouter", "xai", "azure")

pytestmark = pytest.mark.skipif(not (CORPUS / "replay.py").is_file(), reason=f"no recordings in {CORPUS}: set HEADRACE_CORPUS")


def recordings(kind: str, under: str) -> list[dict[str, Any]]:
    texts = ((CORPUS / f"{name}.jsonl").read_text(encoding="utf-8") for name in PROVIDERS)
    lines = [json.loads(line) for text in texts for line in text.split("\n") if line]
    return [line for line in lines if line["kind"] == kind and line["path"].partition("?")[0].endswith(under)]


@asynccontextmanager
async def replay(served: list[dict[str, Any]]) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """The corpus's own replay server in this process."""
    spec = importlib.util.spec_from_file_location("corpus_replay", CORPUS / "replay.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    runner = web.AppRunner(module.app({line["id"]: line for line in served}), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}", session
    finally:
        await runner.cleanup()


def streams(line: dict[str, Any]) -> bool:
    return bool((line.get("request") or {}).get("stream"))


async def ask(url: str, session: aiohttp.ClientSession, line: dict[str, Any]) -> tuple[Answer | Failure, list[DeltaPiece]]:
    pieces: list[DeltaPiece] = []
    client = client_at(session, f"{url}/r/{line['id']}", key="key-of-nobody")
    request = ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "x"}], "stream": streams(line)})
    return await client.chat(request, "m", timeout_s=20, idempotency_key="k", on_delta=pieces.append), pieces


def text(answer: Answer, kind: str) -> str:
    assert answer.message is not None
    return "".join(part.content or "" for part in answer.message.all_parts() if part.type in ("text", "reasoning") and part.type == kind)


def test_every_recorded_chat_is_an_answer_or_the_failure_that_was_recorded() -> None:
    lines = recordings("chat", "/chat/completions")
    assert len(lines) > 200

    async def run() -> None:
        async with replay(lines) as (url, session):
            for line in lines:
                outcome, pieces = await ask(url, session, line)
                check(line, outcome, pieces)

    asyncio.run(run())


def check(line: dict[str, Any], outcome: Answer | Failure, pieces: list[DeltaPiece]) -> None:
    where = f"{line['provider']} {line['id']}"
    in_body = line["status"] == 200 and '"error":{' in line["response_text"].replace(" ", "")[:2_000_000]
    if line["status"] != 200 or (in_body and isinstance(outcome, Failure)):
        assert isinstance(outcome, Failure), where
        assert outcome.type in ("auth", "invalid_request", "context_too_long", "content_filtered"), (where, outcome)
        assert outcome.usage_known_zero == (line["status"] != 200), where
        return
    assert isinstance(outcome, Answer) and outcome.message is not None, (where, outcome)
    assert outcome.finish_reason is not None and outcome.response_model, where
    assert any(part.type in ("text", "tool_call") for part in outcome.message.all_parts()), where
    if streams(line):
        assert "".join(piece.content or "" for piece in pieces if piece.type == "text") == text(outcome, "text"), where
        assert "".join(piece.content or "" for piece in pieces if piece.type == "reasoning") == text(outcome, "reasoning"), where
    else:
        told = json.loads(line["response_text"])
        assert outcome.usage.input_tokens == told["usage"]["prompt_tokens"], where
        wanted = [(call.get("function") or call["custom"])["name"] for call in told["choices"][0]["message"].get("tool_calls") or []]
        called = [part.name for part in outcome.message.all_parts() if part.type == "tool_call"]
        assert called == wanted or "functions" in line["request"], where
    decodable = '"type": "custom"' not in json.dumps(line["request"])
    assert not decodable or not any(part.type == "tool_call" and part.provider_data for part in outcome.message.all_parts()), (where, outcome.message)


@pytest.mark.parametrize("provider", ["openai", "groq"])
def test_a_recorded_stream_split_at_every_byte_gives_the_same_answer(provider: str) -> None:
    lines = [line for line in recordings("chat", "/chat/completions") if line["provider"] == provider and streams(line)]
    line = min((line for line in lines if "tool_call" in line["features"]), key=lambda line: len(line["response_text"]))

    async def run() -> None:
        async with replay([line]) as (url, session):
            whole, _ = await ask(url, session, line)
            async with session.post(f"{url}/shape/{line['id']}", json={"chunk": 1}):
                pass
            split, _ = await ask(url, session, line)
            assert isinstance(whole, Answer) and whole == split
            async with session.post(f"{url}/shape/{line['id']}", json={"cut_after": len(line["response_text"]) // 3, "delay_s": 0.05}):
                pass
            cut, _ = await ask(url, session, line)
            assert isinstance(cut, Failure) and cut.type == "truncated_stream"

    asyncio.run(run())


def test_every_recorded_embedding_is_understood() -> None:
    lines = recordings("embed", "/embeddings")
    assert lines

    async def run() -> None:
        async with replay(lines) as (url, session):
            for line in lines:
                given = line["request"]["input"]
                texts = ("x",) if isinstance(given, str) else tuple("x" for _ in given)
                client = client_at(session, f"{url}/r/{line['id']}")
                outcome = await client.embed(EmbedRequestV1(input=texts), "m", timeout_s=5, idempotency_key="k")
                if line["status"] != 200:
                    assert isinstance(outcome, Failure), line["id"]
                    continue
                assert isinstance(outcome, Answer) and outcome.embeddings is not None, (line["id"], outcome)
                assert len(outcome.embeddings) == len(texts)

    asyncio.run(run())
