"""How a connection is let in: server list, user or token from the URL, a credentials file, TLS."""

import base64
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from observability.redaction import conceal

if TYPE_CHECKING:
    from faststream.nats.security import NatsSecurity

SECTION = re.compile(rb"-----BEGIN ([A-Z ]+)-----\s+(\S+)\s+-+END")


class BadAccess(ValueError):
    """A server list or a credentials file that cannot be used; the text says why."""


@dataclass(frozen=True)
class Access:
    """Everything that opens a connection. `servers` carry no secret and may be shown."""

    servers: tuple[str, ...]
    user: str | None = None
    password: str | None = None
    token: str | None = None
    creds: Path | None = None
    tls: ssl.SSLContext | None = None

    def options(self) -> dict[str, Any]:
        """For nats-py. User and token are given beside the URLs, so that servers which the cluster announces later take them too."""
        secrets = {"user": self.user, "password": self.password, "token": self.token, "tls": self.tls}
        options: dict[str, Any] = {name: value for name, value in secrets.items() if value is not None}
        if self.creds is not None:
            options |= {"user_jwt_cb": self._jwt, "signature_cb": self._sign}
        return {"servers": list(self.servers), **options}

    def security(self) -> "NatsSecurity | None":
        """The same for FastStream, which is imported where a service asks: a third of the command line's start was its."""
        from faststream.nats.security import NatsJWT, NatsSecurity, NatsToken, NatsUserPassword

        if self.creds is not None:
            return NatsJWT(self._jwt, self._sign, ssl_context=self.tls)
        if self.user is not None and self.password is not None:
            return NatsUserPassword(self.user, self.password, ssl_context=self.tls)
        if self.token is not None:
            return NatsToken(self.token, ssl_context=self.tls)
        return None if self.tls is None else NatsSecurity(ssl_context=self.tls)

    def _jwt(self) -> bytearray:
        return bytearray(self._section("NATS USER JWT"))

    def _sign(self, nonce: str) -> bytes:
        return base64.b64encode(signed(self._section("USER NKEY SEED"), nonce.encode()))

    def _section(self, name: str) -> bytes:
        """Read at every connect: a file that was renewed is used."""
        if self.creds is None:
            raise BadAccess("no credentials file was given")
        found = {title.decode(): value for title, value in SECTION.findall(self.creds.read_bytes())}
        if name not in found:
            raise BadAccess(f"{str(self.creds)!r} has no section {name!r}: give the .creds file that nsc made for a user")
        return bytes(found[name])


def access(url: str, *, creds: str | None = None, tls_ca: str | None = None, tls_cert: str | None = None, tls_key: str | None = None) -> Access:
    """Read a comma-separated server list, `nats://user:password@host:port` or `nats://token@host:port` among them, and the files beside it.

    Raises BadAccess, and OSError for a file that cannot be read.
    """
    parts = [urlsplit(each.strip() if "://" in each else f"nats://{each.strip()}") for each in url.split(",") if each.strip()]
    if not parts:
        raise BadAccess("the list of NATS servers is empty: give --nats nats://host:4222")
    named = {(part.username, part.password) for part in parts if part.username is not None}
    if len(named) > 1:
        raise BadAccess("the NATS URLs name different users: give the same user and password, or token, in each")
    user, password = named.pop() if named else (None, None)
    if creds and user is not None:
        raise BadAccess("both --creds and a user in the NATS URL were given: leave one of them out")
    conceal(*(unquote(secret) for secret in (password or user,) if secret))
    opened = Access(
        servers=tuple(_without_secrets(part) for part in parts),
        user=unquote(user) if user is not None and password is not None else None,
        password=unquote(password) if password is not None else None,
        token=unquote(user) if user is not None and password is None else None,
        creds=Path(creds) if creds else None,
        tls=_context(tls_ca or None, tls_cert or None, tls_key or None),
    )
    if opened.creds is not None:
        opened._jwt()
        opened._sign("checked before the first connect")
    return opened


def _without_secrets(part: SplitResult) -> str:
    return part._replace(netloc=part.netloc.rpartition("@")[2]).geturl()


def _context(ca: str | None, cert: str | None, key: str | None) -> ssl.SSLContext | None:
    if key is not None and cert is None:
        raise BadAccess("--tls-key was given without --tls-cert: give both")
    if ca is None and cert is None:
        return None
    for name in (ca, cert, key):
        if name is not None and not Path(name).is_file():
            raise BadAccess(f"{name!r} is not a file: give --tls-ca, --tls-cert and --tls-key the paths of PEM files")
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert is not None:
            context.load_cert_chain(cert, key)
    except ssl.SSLError as error:
        raise BadAccess(f"TLS files {[name for name in (ca, cert, key) if name]!r} cannot be used: {error.reason or error}") from error
    return context


def signed(seed: bytes, message: bytes) -> bytes:
    """Signed with an nkey seed: base32 of two prefix bytes, the Ed25519 seed, and a checksum."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise BadAccess("credentials files need the package 'cryptography': pip install 'headrace[creds]'") from error
    try:
        raw = base64.b32decode(seed + b"=" * (-len(seed) % 8))
        return bytes(Ed25519PrivateKey.from_private_bytes(raw[2:-2]).sign(message))
    except ValueError:
        raise BadAccess("the seed in the credentials file is damaged: make the file again with nsc") from None
