"""JSON Schemas as providers take them for structured output. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from .conversion import Conversion
from .protocol import Body

NUMBERS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
LIMITS = NUMBERS | {"minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "contains"}
"""Keywords that only limit a value: where a provider cannot hold the model to them, the validator still does."""
NAMED = ("properties", "$defs", "definitions")
TAKEN = (("minItems", 0), ("minItems", 1))
"""Limits that are taken all the same."""
LISTED = ("anyOf", "allOf", "oneOf")


@dataclass(frozen=True)
class Dialect:
    """What a provider takes. `refused`: limits that it refuses; `closed`: each object has to say that it is closed.

    `formats`: those of strings that it knows, None: all; `one_of`: it knows that word beside anyOf.
    """

    refused: frozenset[str]
    closed: bool
    formats: frozenset[str] | None = None
    one_of: bool = True


def native_schema(schema: Body, dialect: Dialect, conversion: Conversion) -> Body | None:
    """The schema as the provider takes it, with the limits that it refuses said in descriptions. None: it cannot be said."""
    native: Body | None = None if _open(schema) or _recursive(schema) else _said(schema, dialect, conversion)
    return native


def _open(schema: Any) -> bool:
    """Objects with keys that the schema does not name have no native form."""
    if isinstance(schema, list):
        return any(map(_open, schema))
    if not isinstance(schema, dict):
        return False
    extra = schema.get("additionalProperties", False)
    if extra is not False or (schema.get("type") == "object" and not schema.get("properties") and "additionalProperties" not in schema):
        return True
    named = [inner for name in NAMED if isinstance(schema.get(name), dict) for inner in schema[name].values()]
    return _open(named) or any(_open(schema.get(name)) for name in (*LISTED, "items"))


def _recursive(schema: Body) -> bool:
    """A definition that leads back to itself, or to the whole."""
    named = {f"#/{name}/{key}": inner for name in ("$defs", "definitions") if isinstance(schema.get(name), dict) for key, inner in schema[name].items()}
    leads = {ref: set(_refs(inner)) for ref, inner in named.items()}
    seen: set[str] = set()

    def back(ref: str, way: frozenset[str]) -> bool:
        if ref in way or ref == "#":
            return True
        if ref in seen:
            return False
        seen.add(ref)
        return any(back(further, way | {ref}) for further in leads.get(ref, ()))

    return any(back(ref, frozenset()) for ref in (*leads, *_refs({name: value for name, value in schema.items() if name not in ("$defs", "definitions")})))


def _refs(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for inner in schema:
            yield from _refs(inner)
    elif isinstance(schema, dict):
        if isinstance(ref := schema.get("$ref"), str):
            yield ref
        for inner in schema.values():
            yield from _refs(inner)


def _said(schema: Any, dialect: Dialect, conversion: Conversion) -> Any:
    if isinstance(schema, list):
        return [_said(inner, dialect, conversion) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    limits = {name: value for name, value in schema.items() if _is_refused(name, value, dialect)}
    kept = {name: _inner(name, value, dialect, conversion) for name, value in schema.items() if name not in limits}
    if limits:
        words = ", ".join(f"{name}: {to_json(value).decode()}" for name, value in limits.items())
        kept["description"] = f"{kept['description']} ({words})" if kept.get("description") else f"({words})"
        conversion.translated(f"output.json_schema: {', '.join(limits)}", "such limits in descriptions")
    if "oneOf" in kept and "anyOf" not in kept and not dialect.one_of:
        conversion.translated("output.json_schema: oneOf", "anyOf")
        kept["anyOf"] = kept.pop("oneOf")
    return {**kept, "additionalProperties": False} if dialect.closed and kept.get("type") == "object" else kept


def _is_refused(name: str, value: Any, dialect: Dialect) -> bool:
    if name == "format":
        return dialect.formats is not None and value not in dialect.formats
    return name in dialect.refused and (name, value) not in TAKEN


def _inner(name: str, value: Any, dialect: Dialect, conversion: Conversion) -> Any:
    if name in NAMED and isinstance(value, dict):
        return {key: _said(inner, dialect, conversion) for key, inner in value.items()}
    return _said(value, dialect, conversion) if name in (*LISTED, "items") else value
