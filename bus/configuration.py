"""The shared configuration: read from YAML, checked, pushed to the KV bucket CONFIG, and followed by every process."""

import asyncio
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import structlog
import yaml
from pydantic import ValidationError

from bus.connection import Bus
from bus.credentials import MissingSecret, expand, literal_secrets, redacted
from bus.errors import Unavailable
from bus.overrides import BadOverride, overridden
from contracts.config import ConfigV1

__all__ = ["BadConfiguration", "ConfigSource", "MissingSecret", "expand", "is_version_1", "load", "overridden", "push", "read", "redacted"]

STREAM = "KV_CONFIG"
SUBJECT = "$KV.CONFIG.headrace"
POLL_S = 1.0
VERSION_1 = (1, "1", "1.0", "v1")
VERSION_1_KEYS = frozenset(("llm_providers", "default_models", "ollama_url", "ollama_base_url", "embedding_model", "summarization_model", "chat_model"))

log = structlog.get_logger()


class BadConfiguration(Exception):
    """A configuration that was refused; `problems` has one `providers.0.api_key: why` for each error."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _UniqueKeys(yaml.SafeLoader):
    """YAML's safe subset, where a key that stands twice is an error and not the loss of the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} is not text; put it in quotes", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def load(text: str) -> ConfigV1:
    """A configuration from YAML or JSON text. Raises BadConfiguration with every error that was found."""
    return validate(parse(text))


def parse(text: str) -> Any:
    """YAML or JSON text as plain values. Raises BadConfiguration, with line and column."""
    try:
        return yaml.load(text, Loader=_UniqueKeys)  # _UniqueKeys is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        raise BadConfiguration([f"not valid YAML, {place}: {error.problem}"]) from error
    except yaml.YAMLError as error:
        raise BadConfiguration([f"not valid YAML: {error}"]) from error
    except RecursionError as error:
        raise BadConfiguration(["not valid YAML: nested too deeply"]) from error


def validate(document: Any) -> ConfigV1:
    """The checked configuration, literal secrets refused. Raises BadConfiguration."""
    if not isinstance(document, dict):
        raise BadConfiguration(["the document is empty or not a mapping; begin with 'version: 2' and 'providers:'"])
    if is_version_1(document):
        raise BadConfiguration(["version: 1 is not read any more: run headrace config migrate FILE"])
    try:
        config = ConfigV1.model_validate(document)
    except ValidationError as error:
        raise BadConfiguration([_line(dict(problem)) for problem in error.errors(include_url=False, include_input=False)]) from error
    problems = [f"{path}: {why}" for path, why in literal_secrets(config)]
    if problems:
        raise BadConfiguration(problems)
    return config


def is_version_1(document: Any) -> bool:
    """By its version, or where it has none by keys that only version 1 had."""
    if not isinstance(document, dict):
        return False
    return document["version"] in VERSION_1 if "version" in document else any(str(key).lower() in VERSION_1_KEYS for key in document)


def _line(problem: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    why = re.sub(r"^(Value|Assertion) error, ", "", problem["msg"])
    if problem["type"] == "extra_forbidden":
        why = "unknown field; remove it or mend its spelling"
    return f"{path}: {why}" if path else why


async def push(bus: Bus, text: str) -> int:
    """Check `text` and make it the configuration of all processes. Returns its revision. Raises BadConfiguration; then the old one stays."""
    config = load(text)
    ack = await bus.publish(SUBJECT, config.model_dump_json(exclude_unset=True).encode())
    return ack.seq


async def read(bus: Bus) -> tuple[ConfigV1, int] | None:
    """The configuration in KV and its revision, None where none was pushed. Raises BadConfiguration, Unavailable."""
    found = await _stored(bus)
    return None if found is None else (validate(parse_stored(found[0])), found[1])


def parse_stored(body: bytes) -> Any:
    """What KV holds as plain values. Raises BadConfiguration."""
    try:
        return json.loads(body)
    except ValueError as error:
        raise BadConfiguration([f"the stored configuration is not valid JSON: {error}; run 'headrace config push FILE'"]) from error


async def _stored(bus: Bus) -> tuple[bytes, int] | None:
    stored = await bus.last(STREAM, SUBJECT)
    if stored is None or "KV-Operation" in stored.headers:
        return None
    return stored.body, stored.seq


class ConfigSource:
    """The configuration as this process sees it: KV, polled each second, under its own `HEADRACE__` variables."""

    def __init__(self, bus: Bus, environ: Mapping[str, str] | None = None) -> None:
        self._bus = bus
        self._environ = environ
        self._callbacks: list[Callable[[ConfigV1], None]] = []
        self._seen = 0
        self.current: ConfigV1 | None = None
        self.revision = 0

    def on_change(self, callback: Callable[[ConfigV1], None]) -> None:
        """Call `callback` with each new configuration, the first one included if it has yet to come."""
        self._callbacks.append(callback)

    async def wait(self) -> ConfigV1:
        """The first valid configuration; polls for it itself, so that it can be awaited before `run` is started."""
        waited = False
        while self.current is None:
            await self.refresh()
            if self.current is None:
                if not waited:
                    log.warning("waiting_for_configuration", hint="run: headrace config push headrace.yaml")
                    waited = True
                await asyncio.sleep(POLL_S)
        return self.current

    async def run(self) -> None:
        """Follow KV until cancelled; a server that is away is asked again, an invalid value is left aside."""
        while True:
            await self.refresh()
            await asyncio.sleep(POLL_S)

    async def refresh(self) -> None:
        """Take what KV holds now, if it is new and valid."""
        try:
            found = await _stored(self._bus)
        except Unavailable as error:
            log.debug("configuration_unreachable", error=str(error))
            return
        if found is None or found[1] == self._seen:
            return
        body, revision = found
        self._seen = revision
        try:
            config = validate(overridden(parse_stored(body), os.environ if self._environ is None else self._environ))
        except (BadConfiguration, BadOverride) as error:
            log.error("configuration_refused", revision=revision, problems=str(error), kept_revision=self.revision)
            return
        self._take(config, revision)

    def _take(self, config: ConfigV1, revision: int) -> None:
        changed = config != self.current
        self.current, self.revision = config, revision
        log.info("configuration_loaded", revision=revision, providers=len(config.providers), routes=len(config.routes))
        if changed:
            for callback in list(self._callbacks):
                callback(config)
