"""AWS Signature Version 4 of a POST: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. Pure.

botocore signs, too, but builds a request of its own for it, which costs four times as much.
"""

import hashlib
import hmac
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"


class Keys(NamedTuple):
    """An access key; `token` where it is a temporary one."""

    access: str
    secret: str
    token: str | None = None


def signed_headers(keys: Keys, url: str, body: bytes, *, region: str, service: str, now: datetime) -> dict[str, str]:
    """The headers that prove who asks. `url` as it is sent, its path encoded once."""
    parts = urlsplit(url)
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": parts.netloc.rpartition("@")[2], "x-amz-date": moment}
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    names = ";".join(headers)
    listed = "".join(f"{name}:{value}\n" for name, value in headers.items())
    path, query = quote(parts.path or "/", safe="/-_.~"), "&".join(sorted(parts.query.split("&")))
    canonical = f"POST\n{path}\n{query}\n{listed}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    text = f"{ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(_signing_key(keys.secret, moment[:8], region, service), text.encode(), "sha256").hex()
    del headers["host"]
    return {**headers, "Authorization": f"{ALGORITHM} Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={signature}"}


@lru_cache(maxsize=64)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """The same for a day."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
