"""A client as the adapters would make it, for a provider at some address."""

from collections.abc import Mapping
from typing import Any

import aiohttp

from contracts.config import ProviderV1
from services.adapters.clients import client_of
from services.adapters.protocol import Client


def client_at(
    session: aiohttp.ClientSession,
    url: str,
    type_name: str = "openai",
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    **fields: Any,
) -> Client:
    """Further fields are the provider's: options, timeouts."""
    given = {"id": type_name, "type": type_name, "base_url": "${PROVIDER_URL}", "headers": headers or {}, "models": [{"id": "m"}], **fields}
    if key is not None:
        given["api_key"] = "${PROVIDER_KEY}"
    return client_of(ProviderV1.model_validate(given), session, {"PROVIDER_KEY": key or "", "PROVIDER_URL": url, **(environ or {})})
