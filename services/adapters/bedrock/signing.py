"""Who signs the calls to AWS: keys of the environment, or what botocore finds, which comes with the extra `headrace[aws]`."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from observability.redaction import conceal

from ..transport import NotAuthorized
from .signature import Keys, signed_headers

SERVICE = "bedrock"
HOW = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the provider's 'options.profile', or its 'api_key'"


class Signer:
    """Signs each call of one provider with keys that hold at that moment."""

    def __init__(self, region: str, options: Mapping[str, str], environ: Mapping[str, str]) -> None:
        """`options.profile` names a profile of the AWS configuration; else keys in the environment, else whatever botocore finds. Raises ImportError."""
        profile = options.get("profile")
        keys = None if profile else _keys_in(environ)
        self._keys: Callable[[], Any] = _Found(profile).keys if keys is None else _given(keys)
        self._region = region

    async def authorize(self, url: str, body: bytes) -> Mapping[str, str]:
        """The headers that prove who asks. Raises NotAuthorized."""
        return signed_headers(await self._keys(), url, body, region=self._region, service=SERVICE, now=datetime.now(UTC))


def _given(keys: Keys) -> Callable[[], Any]:
    async def given() -> Keys:
        return keys

    return given


class Frozen(Protocol):
    """What is used of botocore's ReadOnlyCredentials."""

    access_key: str
    secret_key: str
    token: str | None


class _Found:
    """Credentials that botocore finds and keeps fresh. That can block, so a thread asks."""

    def __init__(self, profile: str | None) -> None:
        import botocore.session

        self._session = botocore.session.Session(profile=profile)
        self._credentials: Any = None
        self._lock = asyncio.Lock()

    async def keys(self) -> Keys:
        async with self._lock:
            if self._credentials is None or getattr(self._credentials, "refresh_needed", bool)():
                frozen = await asyncio.to_thread(self._fresh)
            else:
                frozen = self._credentials.get_frozen_credentials()
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)

    def _fresh(self) -> Frozen:
        from botocore.exceptions import BotoCoreError

        try:
            self._credentials = self._credentials or self._session.get_credentials()
            if self._credentials is None:
                raise NotAuthorized(f"no AWS credentials: {HOW}")
            frozen: Frozen = self._credentials.get_frozen_credentials()
        except (BotoCoreError, OSError) as error:
            raise NotAuthorized(f"AWS gives no credentials ({type(error).__name__}: {error}); {HOW}") from error
        return frozen


def _keys_in(environ: Mapping[str, str]) -> Keys | None:
    access, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    conceal(secret)
    return Keys(access, secret, environ.get("AWS_SESSION_TOKEN") or None) if access and secret else None
