"""Secrets in a configuration: references expanded from the environment, literal ones found, all of them hidden for show."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from contracts.config import ConfigV1

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_CREDENTIAL_NAME = re.compile(r"auth|api[-_]?key|^key$|[-_]key$|token|secret|password|passwd|cookie|credential|signature", re.IGNORECASE)
_SCHEME = re.compile(r"^(bearer|basic|token|apikey|api-key|key)\b", re.IGNORECASE)
HIDDEN = "***"


class MissingSecret(Exception):
    """A `${NAME}` for which this process has no value. `name` is the variable."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{why}: set {name}, or {name}_FILE to a file that holds it, where the adapters run")
        self.name = name


def expand(text: str, environ: Mapping[str, str]) -> str:
    """`text` with every `${NAME}` replaced by the variable NAME, or by the content of the file that NAME_FILE names. Raises MissingSecret."""
    return _REFERENCE.sub(lambda match: _value(match.group(1), environ), text)


def _value(name: str, environ: Mapping[str, str]) -> str:
    if environ.get(name):
        return environ[name]
    file = environ.get(f"{name}_FILE")
    if not file:
        raise MissingSecret(name, f"${{{name}}} is used in the configuration but not set")
    try:
        return Path(file).read_text().strip()
    except OSError as error:
        raise MissingSecret(name, f"{name}_FILE names {file!r}, which cannot be read ({error.strerror})") from error


def literal_secrets(config: ConfigV1) -> Iterator[tuple[str, str]]:
    """Path and reason of everything that looks like a credential and is not written as `${NAME}`."""
    for index, provider in enumerate(config.providers):
        for name, value in provider.headers.items():
            if _CREDENTIAL_NAME.search(name) and _is_literal(value):
                yield (
                    f"providers.{index}.headers.{name}",
                    "a literal credential may not be stored on the bus: write ${NAME} and set NAME or NAME_FILE where the adapters run",
                )
        if provider.base_url and _has_credentials(provider.base_url):
            yield f"providers.{index}.base_url", "a URL with a literal password or key may not be stored on the bus: use api_key or headers with ${NAME}"


def _is_literal(value: str) -> bool:
    return bool(_SCHEME.sub("", _REFERENCE.sub("", value).strip()).strip())


def _has_credentials(url: str) -> bool:
    parts = urlsplit(_REFERENCE.sub("", url))
    return bool(parts.password) or any(_CREDENTIAL_NAME.search(name) and value for name, value in parse_qsl(parts.query))


def redacted(config: ConfigV1) -> dict[str, Any]:
    """The configuration as JSON values with keys and credential headers hidden, for people to see."""
    document: dict[str, Any] = config.model_dump(mode="json", exclude_unset=True)
    for provider in document.get("providers", []):
        if provider.get("api_key") is not None:
            provider["api_key"] = HIDDEN
        for name in provider.get("headers", {}):
            if _CREDENTIAL_NAME.search(name):
                provider["headers"][name] = HIDDEN
    return document
