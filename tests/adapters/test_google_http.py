"""Google over real HTTP: keys, tokens by google-auth and their renewal, streams, limits of a batch."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from catalog.kinds import kind_of
from contracts.config import ProviderV1
from contracts.request import ChatRequestV1, EmbedRequestV1
from services.adapters.clients import Misconfigured, address, client_of
from services.adapters.google_tokens import GoogleTokens, tokens_of
from services.adapters.protocol import Answer, Failure

KEY = "AIza-secret-0123456789"
ANSWER = {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}], "modelVersion": "m", "responseId": "r"}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Google:
    """A token endpoint and a model on one port. `refused`: tokens that the model answers with 401."""

    def __init__(self, expires_in: int = 3600, refused: tuple[str, ...] = (), answer: Any = ANSWER) -> None:
        self.expires_in, self.refused, self.answer = expires_in, refused, answer
        self.tokens, self.asked = 0, list[tuple[str, dict[str, str], Any]]()
        self.url = ""

    async def token(self, request: web.Request) -> web.Response:
        self.tokens += 1
        return web.json_response({"access_token": f"ya29-token-number-{self.tokens}", "expires_in": self.expires_in, "token_type": "Bearer"})

    async def model(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, dict(request.headers), await request.json()))
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token in self.refused:
            return web.json_response({"error": {"code": 401, "status": "UNAUTHENTICATED", "message": f"no such token: {token}"}}, status=401)
        answer = self.answer(self.asked[-1][2]) if callable(self.answer) else self.answer
        return web.json_response(answer)


def run(server: Google, use: Callable[[aiohttp.ClientSession], Awaitable[None]]) -> None:
    async def served() -> None:
        app = web.Application()
        app.add_routes([web.post("/token", server.token), web.post("/{rest:.*}", server.model)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            async with aiohttp.ClientSession() as session:
                await use(session)
        finally:
            await runner.cleanup()

    asyncio.run(served())


def provider(server: Google, **fields: Any) -> ProviderV1:
    return ProviderV1.model_validate({"id": "g", "type": "vertex", "base_url": f"{server.url}/v1beta1", "models": [{"id": "m"}], **fields})


async def ask(session: aiohttp.ClientSession, configured: ProviderV1, environ: dict[str, str]) -> Answer | Failure:
    client = client_of(configured, session, environ)
    request = ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "x"}]})
    return await client.chat(request, "m", timeout_s=10, idempotency_key="k")


@pytest.fixture
def service_account(tmp_path: Path) -> Callable[[str], str]:
    """Writes a key file for a service account whose tokens come from this address."""

    def write(url: str) -> str:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        account = {"type": "service_account", "project_id": "p", "private_key_id": "1", "private_key": key.decode(), "client_email": "a@p.example"}
        file = tmp_path / "account.json"
        file.write_text(json.dumps({**account, "token_uri": f"{url}/token"}), encoding="utf-8")
        return str(file)

    return write


def test_a_service_accounts_token_is_asked_for_once_and_used_for_all_calls(service_account: Callable[[str], str]) -> None:
    server = Google()

    async def use(session: aiohttp.ClientSession) -> None:
        options = {"project": "p", "location": "us-east5", "credentials_file": service_account(server.url)}
        client = client_of(provider(server, options=options), session, {})
        request = ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "x"}]})
        outcomes = await asyncio.gather(*(client.chat(request, "m", timeout_s=10, idempotency_key="k") for _ in range(5)))
        assert all(isinstance(outcome, Answer) for outcome in outcomes)

    run(server, use)
    assert server.tokens == 1
    assert {(path, headers["Authorization"]) for path, headers, _ in server.asked} == {
        ("/v1beta1/projects/p/locations/us-east5/publishers/google/models/m:generateContent", "Bearer ya29-token-number-1")
    }


def test_a_token_that_has_run_out_is_renewed_before_the_call(service_account: Callable[[str], str]) -> None:
    server = Google(expires_in=1)

    async def use(session: aiohttp.ClientSession) -> None:
        environ = {"GOOGLE_APPLICATION_CREDENTIALS": service_account(server.url)}
        client = client_of(provider(server, options={"project": "p"}), session, environ)
        request = ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "x"}]})
        for _ in range(2):
            assert isinstance(await client.chat(request, "m", timeout_s=10, idempotency_key="k"), Answer)

    run(server, use)
    assert [headers["Authorization"][-1] for _, headers, _ in server.asked] == ["1", "2"]


def test_a_token_that_is_refused_is_renewed_and_the_call_made_once_more(service_account: Callable[[str], str]) -> None:
    server = Google(refused=("ya29-token-number-1",))

    async def use(session: aiohttp.ClientSession) -> None:
        configured = provider(server, options={"project": "p", "credentials_file": service_account(server.url)})
        assert isinstance(await ask(session, configured, {}), Answer)

    run(server, use)
    assert server.tokens == 2 and len(server.asked) == 2


def test_a_token_that_stays_refused_is_an_auth_failure_that_does_not_show_it(service_account: Callable[[str], str]) -> None:
    server = Google(refused=("ya29-token-number-1", "ya29-token-number-2"))

    async def use(session: aiohttp.ClientSession) -> None:
        outcome = await ask(session, provider(server, options={"project": "p", "credentials_file": service_account(server.url)}), {})
        assert isinstance(outcome, Failure) and outcome.type == "auth" and outcome.usage_known_zero
        assert "ya29" not in outcome.message and "***" in outcome.message

    run(server, use)
    assert len(server.asked) == 2


def test_credentials_that_cannot_be_had_are_an_auth_failure_that_says_what_to_set(tmp_path: Path) -> None:
    server = Google()

    async def use(session: aiohttp.ClientSession) -> None:
        outcome = await ask(session, provider(server, options={"project": "p", "credentials_file": str(tmp_path / "none.json")}), {})
        assert isinstance(outcome, Failure) and outcome.type == "auth" and "credentials_file" in outcome.message

    run(server, use)
    assert server.asked == []


def test_an_api_key_is_sent_in_its_header_on_both_and_needs_no_token() -> None:
    server = Google()

    async def use(session: aiohttp.ClientSession) -> None:
        for type_name in ("gemini", "vertex"):
            assert isinstance(await ask(session, provider(server, type=type_name, api_key="${KEY}"), {"KEY": KEY}), Answer)

    run(server, use)
    assert [(path, headers["x-goog-api-key"], headers.get("Authorization")) for path, headers, _ in server.asked] == [
        ("/v1beta1/models/m:generateContent", KEY, None),
        ("/v1beta1/publishers/google/models/m:generateContent", KEY, None),
    ]


def test_an_access_token_of_ones_own_is_sent_as_it_is() -> None:
    server = Google()

    async def use(session: aiohttp.ClientSession) -> None:
        configured = provider(server, options={"project": "p", "access_token": "${TOKEN}"})
        assert isinstance(await ask(session, configured, {"TOKEN": "ya29-of-ones-own"}), Answer)

    run(server, use)
    assert server.asked[0][1]["Authorization"] == "Bearer ya29-of-ones-own"


class OfAUser:
    """A user's credentials, whose calls count against a project of their own choice."""

    def __init__(self) -> None:
        self.token: str | None = None
        self.quota_project_id = "payer"

    @property
    def valid(self) -> bool:
        return self.token is not None

    def refresh(self, request: Any) -> None:
        self.token = "ya29-of-a-user"


def test_the_project_that_pays_for_a_users_calls_is_named() -> None:
    headers = asyncio.run(GoogleTokens(OfAUser, lambda: None).authorize("https://x", b""))
    assert headers == {"Authorization": "Bearer ya29-of-a-user", "x-goog-user-project": "payer"}


def test_the_machines_own_credentials_go_to_google_alone() -> None:
    assert tokens_of({}, {}, "http://127.0.0.1:1/v1beta1") is None
    assert tokens_of({}, {}, "https://googleapis.com.example/v1") is None
    assert tokens_of({}, {}, "https://us-east5-aiplatform.googleapis.com/v1beta1") is not None
    assert tokens_of({}, {"GOOGLE_APPLICATION_CREDENTIALS": "/x.json"}, "http://127.0.0.1:1/v1beta1") is not None


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "https://aiplatform.googleapis.com/v1beta1"),
        ({"location": "global"}, "https://aiplatform.googleapis.com/v1beta1"),
        ({"location": "eu"}, "https://aiplatform.eu.rep.googleapis.com/v1beta1"),
        ({"location": "us-east5"}, "https://us-east5-aiplatform.googleapis.com/v1beta1"),
    ],
)
def test_the_location_names_the_host(options: dict[str, str], url: str) -> None:
    configured = ProviderV1.model_validate({"id": "g", "type": "vertex", "models": [{"id": "m"}], "options": options})
    assert address(configured, kind_of("vertex"), options, {}) == url


@pytest.mark.parametrize(
    ("type_name", "given", "dialled"),
    [
        ("gemini", "https://g.example", "https://g.example/v1beta"),
        ("gemini", "https://g.example/v1/account/google-ai-studio/", "https://g.example/v1/account/google-ai-studio/v1beta"),
        *(("gemini", f"https://g.example/{version}", f"https://g.example/{version}") for version in ("v1", "v1beta", "v1alpha")),
        ("vertex", "https://aiplatform.googleapis.com", "https://aiplatform.googleapis.com/v1beta1"),
        ("cohere", "https://c.example", "https://c.example"),
    ],
)
def test_a_base_url_without_a_version_gets_googles(type_name: str, given: str, dialled: str) -> None:
    configured = ProviderV1.model_validate({"id": "g", "type": type_name, "base_url": given, "models": [{"id": "m"}]})
    assert address(configured, kind_of(type_name), {}, {}) == dialled


def test_without_google_auth_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Google()
    monkeypatch.setitem(sys.modules, "google.auth", None)

    async def use(session: aiohttp.ClientSession) -> None:
        with pytest.raises(Misconfigured, match=r"'g' wants google-auth: install headrace\[google\]"):
            client_of(provider(server, options={"project": "p", "credentials_file": "/x.json"}), session, {})
        assert isinstance(await ask(session, provider(server, type="gemini", api_key="${KEY}"), {"KEY": KEY}), Answer)

    run(server, use)


def test_vertex_without_a_project_and_without_a_key_is_refused_by_name() -> None:
    async def use(session: aiohttp.ClientSession) -> None:
        configured = ProviderV1.model_validate({"id": "g", "type": "vertex", "models": [{"id": "m"}]})
        with pytest.raises(Misconfigured, match=r"'g' needs 'options.project'"):
            client_of(configured, session, {})

    run(Google(), use)


def test_texts_above_the_limit_go_in_several_calls_and_come_back_in_order() -> None:
    def vectors(body: Any) -> Any:
        return {"embeddings": [{"values": [float(one["content"]["parts"][0]["text"])]} for one in body["requests"]]}

    server = Google(answer=vectors)

    async def use(session: aiohttp.ClientSession) -> None:
        client = client_of(provider(server, type="gemini", api_key="${KEY}"), session, {"KEY": KEY})
        outcome = await client.embed(EmbedRequestV1(input=tuple(map(str, range(205)))), "m", timeout_s=10, idempotency_key="k")
        assert isinstance(outcome, Answer) and outcome.embeddings == [[float(number)] for number in range(205)]

    run(server, use)
    assert [len(body["requests"]) for _, _, body in server.asked] == [100, 100, 5]
