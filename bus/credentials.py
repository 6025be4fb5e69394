"""Secrets in a configuration: references expanded from the environment, literal ones found, all of them hidden for show."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from contracts.config import ConfigV1, ProviderV1
from observability.redaction import MIN_SECRET, conceal, without_secrets

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_CREDENTIAL_NAME = re.compile(r"auth|api[-_]?key|^key$|[-_]key$|token|secret|password|passwd|cookie|credential|signature", re.IGNORECASE)
_SCHEME = re.compile(r"^(bearer|basic|token|apikey|api-key|key)\b", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"^(?:<.*>|\[.*\]|\W+|(?:sk-)?(?:x+|\.{3}|…)|(?:sk-|my-?)?(?:your|replace|insert|put|enter)[-_ ]?.*|change[-_ ]?(?:me|it|this).*|.*changeme.*"
    r"|todo|tbd|fixme|placeholder|example|dummy|secret|password|passwd|none|null|undefined|empty|test(?:ing)?|123456\d*|api[-_]?key|key)$",
    re.IGNORECASE,
)
HIDDEN = "***"


LITERAL = "a literal credential may not be stored on the bus: write ${NAME} and set NAME or NAME_FILE where the adapters run"


class MissingSecret(Exception):
    """A `${NAME}` for which this process has no value. `name` is the variable."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{why}: set {name}, or {name}_FILE to a file that holds it, where the adapters run")
        self.name = name


def expand(text: str, environ: Mapping[str, str], *, secret: bool = False) -> str:
    """`text` with every `${NAME}` replaced by the variable NAME, or by the content of the file that NAME_FILE names. Raises MissingSecret.

    `secret`: from now on these values are kept out of logs, spans and messages.
    """

    def value(match: re.Match[str]) -> str:
        found = _value(match.group(1), environ)
        if secret:
            conceal(found, found.strip())
        return found

    return _REFERENCE.sub(value, text)


def doubtful(provider: ProviderV1, environ: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each variable whose value can hardly be the secret that it stands for; names the variable, never the value."""
    texts = (provider.api_key or "", *provider.headers.values(), *(value for name, value in provider.options.items() if _is_credential(name)))
    for name in dict.fromkeys(match for text in texts for match in _REFERENCE.findall(text)):
        try:
            value = _value(name, environ).strip()
        except MissingSecret:
            continue
        if _PLACEHOLDER.search(value):
            yield f"{name} holds a placeholder, not a key: set it, or {name}_FILE, to the real one"
        elif len(value) < MIN_SECRET:
            yield f"{name} is shorter than {MIN_SECRET} characters: too short to be a key, and to be kept out of logs"


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
            if (_CREDENTIAL_NAME.search(name) and _is_literal(value)) or without_secrets(value) != value:
                yield f"providers.{index}.headers.{name}", LITERAL
        for name, value in provider.options.items():
            if (_is_credential(name) and _is_literal(value)) or without_secrets(value) != value:
                yield f"providers.{index}.options.{name}", LITERAL
        if provider.base_url and _has_credentials(provider.base_url):
            yield f"providers.{index}.base_url", "a URL with a literal password or key may not be stored on the bus: use api_key or headers with ${NAME}"


def _is_credential(name: str) -> bool:
    """Of an option; the path of a file is none."""
    return _CREDENTIAL_NAME.search(name) is not None and not name.endswith("_file")


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
        for name in provider.get("options", {}):
            if _is_credential(name):
                provider["options"][name] = HIDDEN
    return document
