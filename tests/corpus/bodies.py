"""Request bodies against each other, and against the types of an official SDK."""

import json
from collections.abc import Iterator
from types import GeneratorType
from typing import Any

from pydantic import TypeAdapter, ValidationError


def differ(where: str, recorded: Any, sent: Any) -> Iterator[str]:
    """Every field in which the two are not the same."""
    if isinstance(recorded, dict) and isinstance(sent, dict):
        for name in dict.fromkeys((*recorded, *sent)):
            yield from differ(f"{where}.{name}", recorded.get(name), sent.get(name))
    elif isinstance(recorded, list) and isinstance(sent, list) and len(recorded) == len(sent):
        for at, (one, other) in enumerate(zip(recorded, sent, strict=True)):
            yield from differ(f"{where}.{at}", one, other)
    elif recorded != sent:
        yield f"{where.lstrip('.')}: recorded {json.dumps(recorded)[:160]}, sent {json.dumps(sent)[:160]}"


def refusal(wanted: TypeAdapter[Any], body: Any) -> str | None:
    """What the SDK's type says against a body; fields that it does not know pass, as SDKs pass `extra_body`."""
    try:
        _consume(wanted.validate_python(body))
    except ValidationError as error:
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
    return None


def _consume(value: Any) -> None:
    """Iterables are checked only while they are read."""
    if isinstance(value, dict):
        for inner in value.values():
            _consume(inner)
    elif isinstance(value, list | tuple | GeneratorType) or type(value).__name__ == "ValidatorIterator":
        for inner in value:
            _consume(inner)
