"""The committed JSON Schemas bundled for an AsyncAPI document: one component a type, references inside the document."""

from typing import Any

from contracts.export import MESSAGES, is_closed, schema_of

Schema = dict[str, Any]
PREFIX = "#/components/schemas/"
LEFT_OUT = ("$schema", "$id", "$defs", "discriminator")
"""What AsyncAPI's schema object has no word for, or another meaning; a `const` in each variant says what a discriminator says."""


def schema_components() -> dict[str, Schema]:
    """Every type of every message by its name. Raises ValueError where one name means two things.

    A type that producers send and services send on is closed in the first case and open in the second: the open one is `Open<name>`.
    """
    closed, open_ = _types(closed=True), _types(closed=False)
    renamed = {name: f"Open{name}" for name in open_ if name in closed}
    components = {name: _bundled(schema, {}) for name, schema in closed.items()}
    components |= {renamed.get(name, name): _bundled(schema, renamed) for name, schema in open_.items()}
    return dict(sorted(components.items()))


def schema_reference(message: str) -> dict[str, str]:
    """Where a message's own schema stands."""
    return {"$ref": PREFIX + MESSAGES[message].__name__}


def _types(*, closed: bool) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    for message, model in MESSAGES.items():
        if is_closed(message) is not closed:
            continue
        schema = schema_of(message)
        for name, definition in {model.__name__: schema, **schema.get("$defs", {})}.items():
            plain = {key: value for key, value in definition.items() if key not in LEFT_OUT}
            if found.setdefault(name, plain) != plain:
                raise ValueError(f"two types are named {name!r}: rename one in contracts/")
    return found


def _bundled(node: Any, renamed: dict[str, str]) -> Any:
    if isinstance(node, list):
        return [_bundled(item, renamed) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):
        name = node["$ref"].removeprefix("#/$defs/")
        return {"$ref": PREFIX + renamed.get(name, name)}
    return {key: _bundled(value, renamed) for key, value in node.items() if key not in LEFT_OUT}
