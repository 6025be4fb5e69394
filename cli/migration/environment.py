"""The variables of version 1 (`OLLAMA_URL`, `CHAT_MODEL` …) as a document of version 2. Pure."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from cli.migration.outcome import SAFE_PROMPT_CACHE, Migrated

URLS = ("OLLAMA_URL", "OLLAMA_BASE_URL")
SMALL, SMART = ("SUMMARIZATION_MODEL", "CHAT_MODEL"), ("CHAT_MODEL", "SUMMARIZATION_MODEL")
EMBEDDING = "EMBEDDING_MODEL"
VARIABLES = (*URLS, *SMALL, EMBEDDING)
PROVIDER = "ollama_migrated"
DEFAULT_URL = "http://127.0.0.1:11434"
DIMENSIONS = {"3-small": 1536, "3-large": 3072}
USUAL_DIMENSIONS = 768


class NothingToMigrate(ValueError):
    """The variables do not make a configuration; the text says which to set."""


def speaks_of_version_1(environ: Mapping[str, str]) -> bool:
    """A server and a model: either alone may be meant for another program."""
    return bool(_first(environ, URLS) and _first(environ, (*SMALL, EMBEDDING)))


def from_environment(environ: Mapping[str, str]) -> Migrated:
    """One Ollama server with a chat and an embedding model. Raises NothingToMigrate."""
    small, smart, embedding = _first(environ, SMALL), _first(environ, SMART), environ.get(EMBEDDING)
    models = _chat_models(small, smart) + ([{"id": embedding, "tasks": ["embedding"], "dimensions": dimensions_of(embedding)}] if embedding else [])
    if not models:
        raise NothingToMigrate(f"no model is named: set CHAT_MODEL, SUMMARIZATION_MODEL or {EMBEDDING}, and {' or '.join(URLS)}")
    provider = {
        "id": PROVIDER,
        "type": "ollama",
        "base_url": ollama_url(_first(environ, URLS) or DEFAULT_URL),
        "timeout_s": 120,
        "prompt_cache": dict(SAFE_PROMPT_CACHE),
        "models": models,
    }
    named = {"default": smart, "small": small, "smart": smart, "embedding": embedding}
    routes = {name: {"candidates": [f"{PROVIDER}/{model}"]} for name, model in named.items() if model}
    return Migrated({"version": 2, "providers": [provider], "routes": routes})


def dimensions_of(model: str) -> int:
    """What version 1 took a model's vectors to have."""
    return next((count for part, count in DIMENSIONS.items() if part in model), USUAL_DIMENSIONS)


def ollama_url(url: str) -> str:
    """Everything before /chat/completions; version 1 named the server alone."""
    whole = url if "://" in url or url.startswith("${") else f"http://{url}"
    return whole.rstrip("/") + "/v1" if urlsplit(whole).path in ("", "/") else whole.rstrip("/")


def _chat_models(small: str | None, smart: str | None) -> list[dict[str, Any]]:
    if small is None or smart is None:
        return []
    if small == smart:
        return [{"id": small, "tasks": ["chat_small", "chat_smart"]}]
    return [{"id": small, "tasks": ["chat_small"]}, {"id": smart, "tasks": ["chat_smart"]}]


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)
