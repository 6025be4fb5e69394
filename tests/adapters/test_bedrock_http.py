"""Converse over real HTTP: what a server sees verifies as AWS verifies it, and credentials that are not there are said by name."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from contracts.config import ProviderV1
from contracts.request import ChatRequestV1
from services.adapters.bedrock.signature import Keys, signed_headers
from services.adapters.bedrock.signing import Signer
from services.adapters.clients import Misconfigured, client_of
from services.adapters.protocol import Answer, Failure
from tests.unit.adapters.test_bedrock_answers import STREAM

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ENVIRON = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HELLO = {"output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}}, "stopReason": "end_turn", "usage": {"inputTokens": 3}}


def by_botocore(url: str, body: bytes, moment: str, *, region: str, token: str | None) -> str:
    """The header that botocore's own signer gives at a moment."""
    request = AWSRequest("POST", url, data=body)
    request.context["timestamp"] = moment
    signer = SigV4Auth(Credentials(KEY, SECRET, token), "bedrock", region)
    request.headers["X-Amz-Date"] = moment
    if token:
        request.headers["X-Amz-Security-Token"] = token
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    names = signer.signed_headers(signer.headers_to_sign(request))
    return f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={names}, Signature={signature}"


def test_a_call_is_signed_as_in_the_published_test_suite() -> None:
    """AWS Signature Version 4 test suite, post-vanilla."""
    now = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
    headers = signed_headers(Keys(KEY, SECRET), "https://example.amazonaws.com/", b"", region="us-east-1", service="service", now=now)
    assert headers == {
        "x-amz-date": "20150830T123600Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, "
        "Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    }


async def asked(answer: Any, provider: dict[str, Any], environ: Mapping[str, str], model: str, **fields: Any) -> tuple[Answer | Failure, list[Any]]:
    seen: list[Any] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.raw_path, request.headers.copy(), await request.read()))
        return web.json_response(answer) if isinstance(answer, dict) else web.Response(body=answer, content_type="application/vnd.amazon.eventstream")

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    given = {"id": "aws", "type": "bedrock", "base_url": f"http://127.0.0.1:{runner.addresses[0][1]}", "models": [{"id": model}], **provider}
    request = ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "the prompt"}], **fields})
    try:
        async with aiohttp.ClientSession() as session:
            client = client_of(ProviderV1.model_validate(given), session, environ)
            return await client.chat(request, model, timeout_s=10, idempotency_key="k"), seen
    finally:
        await runner.cleanup()


def ask(
    answer: Any = None, provider: dict[str, Any] | None = None, environ: Mapping[str, str] = ENVIRON, model: str = MODEL, **fields: Any
) -> tuple[Answer | Failure, list[Any]]:
    given = provider if provider is not None else {"options": {"region": "eu-west-1"}}
    return asyncio.run(asked(HELLO if answer is None else answer, given, environ, model, **fields))


@pytest.mark.parametrize("model", [MODEL, "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"])
@pytest.mark.parametrize("token", [None, "session-token"])
def test_what_arrives_verifies_as_aws_verifies_it(model: str, token: str | None) -> None:
    environ = {**ENVIRON, **({"AWS_SESSION_TOKEN": token} if token else {})}
    outcome, ((path, headers, body),) = ask(environ=environ, model=model)
    assert isinstance(outcome, Answer), outcome
    assert headers["Authorization"] == by_botocore(f"http://{headers['Host']}{path}", body, headers["X-Amz-Date"], region="eu-west-1", token=token)
    assert path.startswith("/model/") and path.count("/") == 3 and ":" not in path and headers.get("X-Amz-Security-Token") == token


def test_a_stream_of_events_is_read() -> None:
    outcome, _ = ask(b"".join(STREAM), stream=True)
    assert isinstance(outcome, Answer) and outcome.finish_reason == "tool_call"


def test_a_garbled_stream_fails_with_what_had_arrived() -> None:
    outcome, _ = ask(b"".join(STREAM[:6]) + b"\0" * 40, stream=True)
    at_once, _ = ask(b"\0" * 40, stream=True)
    assert isinstance(outcome, Failure) and outcome.type == "truncated_stream" and outcome.partial is not None
    assert isinstance(at_once, Failure) and at_once.type == "truncated_stream" and "checksum" in at_once.message


def test_an_api_key_is_a_bearer_token_and_signs_nothing() -> None:
    provider = {"options": {"region": "eu-west-1"}, "api_key": "${AWS_BEARER_TOKEN_BEDROCK}"}
    _, ((_, headers, _),) = ask(provider=provider, environ={"AWS_BEARER_TOKEN_BEDROCK": "bedrock-api-key-x"})
    assert headers["Authorization"] == "Bearer bedrock-api-key-x" and "X-Amz-Date" not in headers


def test_a_profile_of_the_aws_configuration_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").write_text(f"[work]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    _, ((_, headers, _),) = ask(provider={"options": {"region": "eu-west-1", "profile": "work"}})
    assert "Credential=AKIDPROFILE/" in headers["Authorization"]


def test_credentials_that_run_out_are_fetched_anew_while_the_loop_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count, script = tmp_path / "count", tmp_path / "give.py"
    script.write_text(
        f"""import datetime, json, pathlib, time
time.sleep(1)
count = pathlib.Path({str(count)!r})
count.write_text(count.read_text() + "x" if count.exists() else "x")
soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1)).isoformat()
key = f"AKID{{len(count.read_text())}}"
print(json.dumps({{"Version": 1, "AccessKeyId": key, "SecretAccessKey": "secret", "SessionToken": "t", "Expiration": soon}}))
"""
    )
    (tmp_path / "config").write_text(f"[profile role]\ncredential_process = {sys.executable} {script}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    signer = Signer("eu-west-1", {"profile": "role"}, {})

    async def run() -> tuple[list[str], float]:
        asking, worst = asyncio.create_task(keys()), 0.0
        while not asking.done():
            before = time.monotonic()
            await asyncio.sleep(0.01)
            worst = max(worst, time.monotonic() - before)
        return asking.result(), worst

    async def keys() -> list[str]:
        return [(await signer.authorize("https://a.test/", b""))["Authorization"].partition("Credential=")[2].partition("/")[0] for _ in range(2)]

    (first, second), worst = asyncio.run(run())
    assert first.startswith("AKID") and second.startswith("AKID") and first != second and worst < 0.9


def test_credentials_that_are_not_there_are_said_and_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    nobody, seen = ask(environ={})
    unknown, _ = ask(provider={"options": {"region": "eu-west-1", "profile": "no-such"}})
    assert isinstance(nobody, Failure) and nobody.type == "auth" and "AWS_ACCESS_KEY_ID" in nobody.message and not seen
    assert isinstance(unknown, Failure) and unknown.type == "auth" and "no-such" in unknown.message


def client(environ: Mapping[str, str], **fields: Any) -> Any:
    given = {"id": "aws", "type": "bedrock", "models": [{"id": "m"}], **fields}

    async def run() -> Any:
        async with aiohttp.ClientSession() as session:
            return client_of(ProviderV1.model_validate(given), session, environ)

    return asyncio.run(run())


def test_without_botocore_the_extra_is_named_and_keys_of_the_environment_sign_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(Misconfigured, match=r"headrace\[aws\]"):
        client({}, options={"region": "eu-west-1", "profile": "work"})
    outcome, _ = ask()
    assert isinstance(outcome, Answer)


def test_a_region_is_asked_for_by_name() -> None:
    with pytest.raises(Misconfigured, match=r"options\.region"):
        client({})


@pytest.mark.parametrize(
    ("environ", "fields", "region"),
    [
        ({}, {"options": {"region": "eu-west-1"}}, "eu-west-1"),
        ({"AWS_REGION": "eu-west-2"}, {"options": {"region": "eu-west-1"}}, "eu-west-1"),
        ({"AWS_REGION": "eu-west-2"}, {}, "eu-west-2"),
        ({"AWS_DEFAULT_REGION": "eu-west-3"}, {}, "eu-west-3"),
        ({}, {"base_url": "https://bedrock-runtime.ap-south-1.amazonaws.com"}, "ap-south-1"),
    ],
)
def test_the_region_is_the_options_then_the_environments_then_that_of_the_address(environ: dict[str, str], fields: dict[str, Any], region: str) -> None:
    made = client({**ENVIRON, **environ}, **fields)
    headers = asyncio.run(made._authorize("https://a.test/model/m/converse", b"{}"))
    assert f"/{region}/bedrock/aws4_request" in headers["Authorization"]
    assert made._base_url == f"https://bedrock-runtime.{region}.amazonaws.com"


def test_the_body_is_json_and_holds_no_model() -> None:
    _, ((_, headers, body),) = ask()
    assert headers["Content-Type"] == "application/json" and json.loads(body) == {"messages": [{"role": "user", "content": [{"text": "the prompt"}]}]}
