"""Free endpoints over real HTTP: what is asked for, and what each answer tells of the provider. No test here may make a call that costs."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from aiohttp import web

from contracts.config import ConfigV1
from services.adapters.inspection import inspect_all
from services.adapters.listings import ask
from services.adapters.protocol import Looked
from services.adapters.providers import Providers, Unusable

KEY = "sk-free-secret-0123456789"
Answers = Mapping[str, Any]
"""By path and query: a body, or a status."""


class Server:
    """Answers GETs as told; anything else is remembered as a call."""

    def __init__(self, answers: Answers) -> None:
        self.answers, self.asked, self.calls = answers, list[tuple[str, dict[str, str]]](), list[str]()
        self.url = ""

    async def on_request(self, request: web.Request) -> web.StreamResponse:
        if request.method != "GET":
            self.calls.append(f"{request.method} {request.path_qs}")
        self.asked.append((request.path_qs, dict(request.headers)))
        answer = self.answers.get(request.path_qs, 404)
        if isinstance(answer, int):
            return web.json_response({"error": {"message": f"no, not with {request.headers.get('Authorization')}"}}, status=answer)
        return web.json_response(answer) if not isinstance(answer, str) else web.Response(text=answer)


def serve(answers: Answers, use: Callable[[Server], Awaitable[None]]) -> None:
    async def served() -> None:
        server = Server(answers)
        app = web.Application()
        app.add_routes([web.route("*", "/{rest:.*}", server.on_request)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            await use(server)
        finally:
            await runner.cleanup()
        assert server.calls == [], "a check is never a call"

    asyncio.run(served())


def config(base_url: str, type_name: str = "openai", models: tuple[str, ...] = ("m",), **fields: Any) -> ConfigV1:
    provider = {"id": "p", "type": type_name, "base_url": base_url, "api_key": "${KEY}", "models": [{"id": name} for name in models], **fields}
    return ConfigV1.model_validate({"version": 2, "providers": [{name: value for name, value in provider.items() if value is not None}]})


async def with_providers(configured: ConfigV1, use: Callable[[Providers], Awaitable[Any]], environ: Mapping[str, str] | None = None) -> Any:
    providers = Providers({"KEY": KEY} if environ is None else environ)
    await providers.start()
    try:
        providers.take(configured, 1)
        return await use(providers)
    finally:
        await providers.close()


def checked(answers: Answers, path: str = "/v1", environ: Mapping[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    """The row of one provider at this server."""
    rows: list[dict[str, Any]] = []

    async def use(server: Server) -> None:
        configured = config(**{"base_url": server.url + path, **fields})
        rows.extend(await with_providers(configured, lambda providers: inspect_all(providers, configured.providers), environ))

    serve(answers, use)
    assert KEY not in json.dumps(rows)
    return rows[0]


OPENAI = {"/v1/models": {"object": "list", "data": [{"id": "m"}, {"id": "n"}]}}
PAGED = {
    "/v1/models?limit=1": {"data": [{"id": "claude-a"}], "has_more": True, "last_id": "claude-a"},
    "/v1/models?limit=1000": {"data": [{"id": "claude-a"}], "has_more": True, "last_id": "claude-a"},
    "/v1/models?limit=1000&after_id=claude-a": {"data": [{"id": "claude-b-20250101"}], "has_more": False, "last_id": "claude-b-20250101"},
}


@pytest.mark.parametrize(
    ("type_name", "path", "answers", "header", "models"),
    [
        ("openai", "/v1", OPENAI, ("Authorization", f"Bearer {KEY}"), ("m", "n")),
        ("anthropic", "", PAGED, ("x-api-key", KEY), ("claude-a", "claude-b-20250101")),
        ("anthropic", "", PAGED, ("anthropic-version", "2023-06-01"), ("claude-a", "claude-b-20250101")),
        ("anthropic", "/v1", PAGED, ("x-api-key", KEY), ("claude-a", "claude-b-20250101")),
        (
            "gemini",
            "/v1beta",
            {
                "/v1beta/models?pageSize=1": {"models": [{"name": "models/g"}]},
                "/v1beta/models?pageSize=1000": {"models": [{"name": "models/g"}], "nextPageToken": "t="},
                "/v1beta/models?pageSize=1000&pageToken=t%3D": {"models": [{"name": "models/h"}]},
            },
            ("x-goog-api-key", KEY),
            ("g", "h"),
        ),
        (
            "cohere",
            "",
            {"/v1/models?page_size=1": {"models": []}, "/v1/models?page_size=1000": {"models": [{"name": "command-r"}]}},
            ("Authorization", f"Bearer {KEY}"),
            ("command-r",),
        ),
        (
            "ollama",
            "/v1",
            {"/api/tags": {"models": []}, "/v1/models": {"data": [{"id": "llama3.2:latest"}]}},
            ("Authorization", f"Bearer {KEY}"),
            ("llama3.2:latest",),
        ),
        ("vllm", "/v1", {"/health": "", **OPENAI}, ("Authorization", f"Bearer {KEY}"), ("m", "n")),
        ("openrouter", "/v1", {"/v1/key": {"data": {"label": "x"}}, **OPENAI}, ("Authorization", f"Bearer {KEY}"), ("m", "n")),
        ("together", "/v1", {"/v1/models": [{"id": "a/b"}]}, ("Authorization", f"Bearer {KEY}"), ("a/b",)),
    ],
)
def test_each_protocol_is_looked_at_and_listed_by_its_own_paths(
    type_name: str, path: str, answers: Answers, header: tuple[str, str], models: tuple[str, ...]
) -> None:
    async def use(server: Server) -> None:
        async def look(providers: Providers) -> None:
            client, health = providers.client("p"), providers.endpoints("p").health
            assert not isinstance(client, Unusable)
            assert health is not None
            assert await client.look(health, timeout_s=5) == Looked(200)
            assert (await ask(providers, "p")).models == models

        await with_providers(config(server.url + path, type_name), look)
        assert {path for path, _ in server.asked} == set(answers)
        assert all({name.lower(): value for name, value in headers.items()}[header[0].lower()] == header[1] for _, headers in server.asked)

    serve(answers, use)


def test_a_provider_that_answers_and_lists_its_models_is_ok() -> None:
    row = checked(OPENAI)
    assert (row["ok"], row["problems"], row["note"]) == (True, [], None)
    assert row["latency_s"] >= 0


@pytest.mark.parametrize(
    ("answers", "fields", "words"),
    [
        (OPENAI, {"models": ("m", "typo")}, ("model 'typo'", "listing of 2", "headrace models --remote")),
        ({"/v1/models": 401}, {}, ("key is refused", "HTTP 401", "set KEY to")),
        ({"/v1/models": 403}, {}, ("key is refused", "HTTP 403")),
        (OPENAI, {"path": ""}, ("HTTP 404", "does '/v1' lack at its end?")),
        ({"/models": {"data": []}}, {}, ("HTTP 404", "is '/v1' one too many?")),
        (OPENAI, {"environ": {}}, ("${KEY} is used", "set KEY")),
        (OPENAI, {"api_key": None}, ("it has no key", "api_key: ${P_API_KEY}")),
        ({"/v1/models": 503}, {}, ("HTTP 503",)),
        (OPENAI, {"type_name": "azure", "base_url": None, "options": {}}, ("options.resource",)),
    ],
)
def test_what_is_wrong_is_named_with_what_mends_it(answers: Answers, fields: dict[str, Any], words: tuple[str, ...]) -> None:
    row = checked(answers, **fields)
    assert row["ok"] is False
    told = "; ".join(row["problems"])
    assert all(word in told for word in words), told


def test_an_address_where_nothing_listens_is_named() -> None:
    async def use() -> Any:
        configured = config("http://127.0.0.1:9/v1")
        return await with_providers(configured, lambda providers: inspect_all(providers, configured.providers))

    row = asyncio.run(use())[0]
    assert (row["ok"], len(row["problems"])) == (False, 1)
    assert "cannot connect" in row["problems"][0]
    assert "correct 'base_url'" in row["problems"][0]


def test_what_cannot_be_checked_is_a_note_and_no_fault() -> None:
    row = checked({}, type_name="perplexity")
    assert (row["ok"], row["note"]) == (True, "not reached: it has no endpoint that is free of charge")
    unlisted = checked({"/v1/models": "<html>"})
    assert unlisted["ok"] is True
    assert "not JSON" in unlisted["note"]
