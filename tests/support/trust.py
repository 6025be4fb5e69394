"""What a guarded cluster needs, made for one test: a CA with certificates, and an operator with an account and a user."""

import base64
import ipaddress
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

OPERATOR, ACCOUNT, USER, SEED = 14 << 3, 0, 20 << 3, 18 << 3
UNLIMITED = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1, "leaf": -1, "wildcards": True}
STORAGE = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}


class Authority:
    """A self-signed CA; each certificate is for 127.0.0.1, as server and as client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._signed("test CA", self.key, is_ca=True)
        self.file = self._write("ca.pem", self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[str, str]:
        """Paths of a new certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        certificate = self._signed(name, key, is_ca=False).public_bytes(serialization.Encoding.PEM)
        return self._write(f"{name}.pem", certificate), self._write(f"{name}-key.pem", pem)

    def _write(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def _signed(self, name: str, key: ec.EllipticCurvePrivateKey, *, is_ca: bool) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = subject if is_ca else self.certificate.subject
        now = datetime.now(UTC)
        usage = x509.KeyUsage(True, False, False, False, False, is_ca, is_ca, False, False)
        building = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key()).serial_number(x509.random_serial_number())
        building = building.not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + timedelta(days=1)).add_extension(usage, critical=True)
        building = building.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        building = building.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        building = building.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return building.add_extension(authority, critical=False).sign(self.key, hashes.SHA256())


@dataclass
class Identity:
    """An nkey: operator, account or user."""

    kind: int
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def public(self) -> str:
        raw = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return _encoded(bytes([self.kind]) + raw)

    @property
    def seed(self) -> str:
        raw = self.key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
        return _encoded(bytes([SEED | self.kind >> 5, (self.kind & 31) << 3]) + raw)

    def vouches(self, other: "Identity", name: str, claims: dict[str, Any]) -> str:
        """A JWT about another identity, signed by this one."""
        body = {"jti": name, "iat": int(datetime.now(UTC).timestamp()), "iss": self.public, "name": name, "sub": other.public}
        text = ".".join(_url(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, {**body, "nats": {**claims, "version": 2}}))
        return f"{text}.{_url(self.key.sign(text.encode()))}"


def operated(folder: Path) -> tuple[str, str]:
    """Server configuration of an operator with one account, and the path of its user's credentials file."""
    operator, system, account, user = Identity(OPERATOR), Identity(ACCOUNT), Identity(ACCOUNT), Identity(USER)
    open_to_all: dict[str, Any] = {"default_permissions": {"pub": {}, "sub": {}}, "type": "account"}
    vouched = {
        system.public: operator.vouches(system, "SYS", {**open_to_all, "limits": UNLIMITED}),
        account.public: operator.vouches(account, "HEADRACE", {**open_to_all, "limits": {**UNLIMITED, **STORAGE}}),
    }
    own = operator.vouches(operator, "operator", {"type": "operator"})
    jwt = account.vouches(user, "headrace", {"pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1, "type": "user"})
    path = folder / "headrace.creds"
    path.write_text(
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )
    preload = "\n".join(f"  {name}: {token}" for name, token in vouched.items())
    return f"operator: {own}\nsystem_account: {system.public}\nresolver: MEMORY\nresolver_preload: {{\n{preload}\n}}\n", str(path)


def _encoded(raw: bytes) -> str:
    crc = 0
    for byte in raw:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ (0x1021 if crc & 0x8000 else 0)
        crc &= 0xFFFF
    return base64.b32encode(raw + crc.to_bytes(2, "little")).decode().rstrip("=")


def _url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
