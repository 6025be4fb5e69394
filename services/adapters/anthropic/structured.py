"""Structured output: the provider's own where model and schema allow it, else a tool whose input is the answer. Pure."""

from typing import Any

from pydantic_core import to_json

from contracts.request import OutputV1

from ..conversion import Conversion
from ..protocol import Body

UNSUPPORTED = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
    *("maxItems", "uniqueItems", "minProperties", "maxProperties", "contains"),
)
"""Keywords that the API refuses (https://platform.claude.com/docs/en/build-with-claude/structured-outputs, JSON Schema limitations)."""
NAMED = ("properties", "$defs", "definitions")
LISTED = ("anyOf", "allOf", "oneOf")


def native_schema(schema: Body, conversion: Conversion) -> Body | None:
    """The schema as the API takes it: objects closed, limits said in descriptions (the validator holds to them). None: it cannot be said."""
    closed: Body | None = None if _open(schema) else _closed(schema, conversion)
    return closed


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


def _closed(schema: Any, conversion: Conversion) -> Any:
    if isinstance(schema, list):
        return [_closed(inner, conversion) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    limits = {name: schema[name] for name in UNSUPPORTED if name in schema}
    if schema.get("minItems", 0) not in (0, 1):
        limits["minItems"] = schema["minItems"]
    kept = {name: _inner(name, value, conversion) for name, value in schema.items() if name not in limits}
    if limits:
        said = ", ".join(f"{name}: {to_json(value).decode()}" for name, value in limits.items())
        kept["description"] = f"{kept['description']} ({said})" if kept.get("description") else f"({said})"
        conversion.translated(f"output.json_schema: {', '.join(limits)}", "such limits in descriptions")
    return {**kept, "additionalProperties": False} if kept.get("type") == "object" else kept


def _inner(name: str, value: Any, conversion: Conversion) -> Any:
    if name in NAMED and isinstance(value, dict):
        return {key: _closed(inner, conversion) for key, inner in value.items()}
    return _closed(value, conversion) if name in (*LISTED, "items") else value


def output_tool(output: OutputV1) -> Body:
    """The tool whose input is the answer."""
    schema = output.json_schema if output.json_schema.get("type") == "object" else {**output.json_schema, "type": "object"}
    return {"name": output.name, "description": "Call this tool to give your answer.", "input_schema": schema}
