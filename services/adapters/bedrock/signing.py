"""AWS Signature Version 4 by botocore, which comes with the extra `headrace[aws]` and is imported only where it is needed."""

import asyncio
from collections.abc import Mapping
from typing import Any

from ..transport import NotAuthorized

SERVICE = "bedrock"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class Signer:
    """Signs each call with the credentials of one provider, which botocore finds and keeps fresh; that can block, so a thread asks."""

    def __init__(self, region: str, options: Mapping[str, str], environ: Mapping[str, str]) -> None:
        """`options.profile` names a profile of the AWS configuration; else keys in the environment, else whatever botocore finds. Raises ImportError."""

        self._region, self._profile = region, options.get("profile")
        self._keys = None if self._profile else _keys_in(environ)
        self._credentials: Any = None
        self._lock = asyncio.Lock()

    async def authorize(self, url: str, body: bytes) -> Mapping[str, str]:
        """The headers that prove who asks. Raises NotAuthorized."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/json"})
        SigV4Auth(await self._frozen(), SERVICE, self._region).add_auth(request)
        return {name: value for name, value in request.headers.items() if name.lower().startswith(("authorization", "x-amz-"))}

    async def _frozen(self) -> Any:
        """Keys that hold at this moment."""
        async with self._lock:
            if self._credentials is None or getattr(self._credentials, "refresh_needed", bool)():
                return await asyncio.to_thread(self._resolved)
            return self._credentials.get_frozen_credentials()

    def _resolved(self) -> Any:
        from botocore.credentials import Credentials
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session

        try:
            if self._credentials is None:
                self._credentials = Credentials(*self._keys) if self._keys else Session(profile=self._profile).get_credentials()
            if self._credentials is None:
                raise NotAuthorized("no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the provider's 'options.profile', or its 'api_key'")
            return self._credentials.get_frozen_credentials()
        except (BotoCoreError, OSError) as error:
            raise NotAuthorized(f"AWS gives no credentials ({type(error).__name__}: {error}); check the profile or the environment") from error


def _keys_in(environ: Mapping[str, str]) -> tuple[str, ...] | None:
    key, secret, token = (environ.get(name, "") for name in KEYS)
    if not key or not secret:
        return None
    return (key, secret, token) if token else (key, secret)
