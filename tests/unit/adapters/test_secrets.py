"""Every secret that a process is given is known to it as one, from the moment when it is read."""

import asyncio
from collections.abc import Mapping

import aiohttp
import pytest
from structlog.testing import capture_logs

from bus.access import access
from contracts.config import ConfigV1, ProviderV1
from observability import redaction
from observability.redaction import concealed
from services.adapters.clients import client_of
from services.adapters.providers import Providers
from storage.database import open_database

MODELS = [{"id": "m"}]


@pytest.fixture(autouse=True)
def _nothing_concealed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_concealed", frozenset())
    monkeypatch.setattr(redaction, "_forms", ())


def concealed_by(fields: Mapping[str, object], environ: Mapping[str, str]) -> frozenset[str]:
    async def make() -> None:
        async with aiohttp.ClientSession() as session:
            client_of(ProviderV1.model_validate({"id": "p", "models": MODELS, **fields}), session, environ)

    asyncio.run(make())
    return concealed()


@pytest.mark.parametrize(
    ("fields", "environ", "secrets"),
    [
        ({"type": "openai", "api_key": "${K}"}, {"K": " the key itself\n"}, {"the key itself", " the key itself\n"}),
        ({"type": "openai", "headers": {"X-Team": "search-team", "Authorization": "Bearer ${T}"}}, {"T": "the token"}, {"the token"}),
        ({"type": "gemini", "options": {"location": "${L}", "access_token": "${T}"}}, {"L": "europe-west1", "T": "the token"}, {"the token"}),
        ({"type": "openai", "base_url": "${U}"}, {"U": "https://user:pass-word@host/v1?api-version=2024-10-21&key=the-key"}, {"pass-word", "the-key"}),
        ({"type": "bedrock", "options": {"region": "eu-west-1"}}, {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "its secret"}, {"its secret"}),
    ],
)
def test_what_a_provider_is_asked_with_is_concealed_and_nothing_else(fields: dict[str, object], environ: dict[str, str], secrets: set[str]) -> None:
    assert concealed_by(fields, environ) == secrets


def test_passwords_of_the_bus_and_of_the_database_are_concealed() -> None:
    access("nats://service:of%20the%20bus@a:4222,nats://service:of%20the%20bus@b:4222")
    access("nats://a-token-of-it@a:4222")
    open_database("postgresql://meter:of-the-ledger@db/ledger", "ledger", "LEDGER").dispose()
    assert concealed() == {"of the bus", "a-token-of-it", "of-the-ledger"}


def test_a_placeholder_is_told_when_the_configuration_comes_by_the_name_of_its_variable() -> None:
    provider = ProviderV1.model_validate({"id": "p", "type": "openai", "api_key": "${P_KEY}", "models": MODELS})

    async def start() -> None:
        providers = Providers({"P_KEY": "your-api-key"})
        await providers.start()
        try:
            providers.take(ConfigV1(version=2, providers=(provider,)), 1)
        finally:
            await providers.close()

    with capture_logs() as logs:
        asyncio.run(start())
    (warned,) = [line for line in logs if line["event"] == "secret_doubtful"]
    assert (warned["log_level"], warned["provider"]) == ("warning", "p") and warned["why"].startswith("P_KEY holds a placeholder")
    assert "your-api-key" not in str(logs)
