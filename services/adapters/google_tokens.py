"""OAuth tokens for Google Cloud by google-auth, which comes with the extra `headrace[google]` and is imported only where it is needed."""

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from .transport import NotAuthorized

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
REFRESH_S = 30.0
KEEP_S = 5.0


class Credentials(Protocol):
    """What is used of google.auth.credentials.Credentials; `refresh` blocks."""

    token: str | None

    @property
    def quota_project_id(self) -> str | None:
        """Whose quota a user's calls count against, if not the project's own."""

    @property
    def valid(self) -> bool:
        """There is a token, and it holds for some minutes yet."""

    def refresh(self, request: Any) -> None:
        """Gets a new token. Raises GoogleAuthError."""


class GoogleTokens:
    """One token for all calls of a provider, renewed when it runs out or was refused. google-auth blocks, so a thread asks."""

    def __init__(self, load: Callable[[], Credentials], transport: Callable[[], Any]) -> None:
        self._load, self._transport = load, transport
        self._credentials: Credentials | None = None
        self._wanted, self._renewed_at = False, -math.inf
        self._lock = asyncio.Lock()

    async def authorize(self, url: str, body: bytes) -> Mapping[str, str]:
        """The header that proves who asks. Raises NotAuthorized."""
        async with self._lock:
            if self._credentials is None or not self._credentials.valid or self._wanted:
                self._credentials = await self._fresh()
                self._renewed_at = time.monotonic() if self._wanted else self._renewed_at
                self._wanted = False
            quota = self._credentials.quota_project_id
            return {"Authorization": f"Bearer {self._credentials.token}", **({"x-goog-user-project": quota} if quota else {})}

    def renew(self) -> None:
        """The token was refused. Many calls may have used it: one that replaced a refused one some seconds ago is kept."""
        self._wanted = self._wanted or time.monotonic() - self._renewed_at >= KEEP_S

    async def _fresh(self) -> Credentials:
        try:
            async with asyncio.timeout(REFRESH_S):
                return await asyncio.to_thread(self._refreshed, self._credentials)
        except TimeoutError:
            raise NotAuthorized(f"Google gave no token within {REFRESH_S:g} s; check the network and the credentials") from None

    def _refreshed(self, credentials: Credentials | None) -> Credentials:
        from google.auth.exceptions import GoogleAuthError

        try:
            credentials = credentials or self._load()
            credentials.refresh(self._transport())
        except (GoogleAuthError, OSError, ValueError) as error:
            raise NotAuthorized(
                f"Google gives no token ({type(error).__name__}: {error}); set GOOGLE_APPLICATION_CREDENTIALS or the provider's 'options.credentials_file'"
            ) from error
        return credentials


class StaticToken:
    """A token that something else keeps fresh: the provider's `options.access_token`."""

    def __init__(self, token: str) -> None:
        self._headers = {"Authorization": f"Bearer {token}"}

    async def authorize(self, url: str, body: bytes) -> Mapping[str, str]:
        return self._headers

    def renew(self) -> None:
        """Nothing to be done: whoever set it has to."""


def tokens_of(options: Mapping[str, str], environ: Mapping[str, str], base_url: str | None) -> GoogleTokens | StaticToken | None:
    """By the provider's options `access_token` or `credentials_file`, by GOOGLE_APPLICATION_CREDENTIALS, or as this machine is known to Google.

    None: that last token is for Google alone, and the configured `base_url` is somebody else's. Raises ImportError without the extra.
    """
    if token := options.get("access_token"):
        return StaticToken(token)
    named, found = options.get("credentials_file"), environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if not named and not found and not _of_google(base_url):
        return None
    import google.auth
    from google.auth.transport.requests import Request

    def load() -> Credentials:
        if (path := named or found) and (credentials := _of_file(path)) is not None:
            return credentials
        if named:
            raise ValueError("'credentials_file' takes keys of service accounts and users; set GOOGLE_APPLICATION_CREDENTIALS for others")
        default: Credentials = google.auth.default(scopes=SCOPES)[0]
        return default

    return GoogleTokens(load, Request)


def _of_file(path: str) -> Credentials | None:
    """A service account's or a user's credentials; None for the other kinds, which google-auth takes from the environment alone."""
    from google.oauth2 import credentials as user
    from google.oauth2 import service_account

    held = json.loads(Path(path).read_text(encoding="utf-8"))
    loaders: dict[str, Callable[..., Credentials]] = {
        "service_account": service_account.Credentials.from_service_account_info,
        "authorized_user": user.Credentials.from_authorized_user_info,
    }
    load = loaders.get(str(held.get("type"))) if isinstance(held, dict) else None
    return None if load is None else load(held, scopes=SCOPES)


def _of_google(base_url: str | None) -> bool:
    if base_url is None:
        return True
    parts = urlsplit(base_url)
    return parts.scheme == "https" and f".{parts.hostname or ''}".endswith(".googleapis.com")
