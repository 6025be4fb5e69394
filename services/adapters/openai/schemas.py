"""How an answer's schema is said: OpenAI's json_schema, or in words where a provider knows json_object alone."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import to_json

from contracts.request import OutputV1

from ..protocol import Body
from .quirks import Wording

STRICT_KEYWORDS = frozenset(
    {
        *("type", "properties", "required", "additionalProperties", "items", "anyOf", "$ref", "$defs", "definitions", "enum", "const"),
        *("title", "description", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minItems", "maxItems"),
    }
)


def ask_for(output: OutputV1, body: Body, conversion: Wording) -> None:
    """Writes into the body that the answer is JSON under this schema."""
    if conversion.quirks.json_schema and conversion.traits.json_schema:
        body["response_format"] = _response_format(output)
        return
    conversion.translated("output.json_schema", "response_format json_object, with the schema in a system message,")
    body["response_format"] = {"type": "json_object"}
    words = "Answer with one JSON object and nothing else. It must be valid under this JSON Schema:\n" + to_json(output.json_schema).decode()
    leading = next((at for at, message in enumerate(body["messages"]) if message["role"] != "system"), len(body["messages"]))
    body["messages"].insert(leading, {"role": "system", "content": words})


def _response_format(output: OutputV1) -> Body:
    described = {} if output.description is None else {"description": output.description}
    return {"type": "json_schema", "json_schema": {"name": output.name, **described, "schema": output.json_schema, "strict": is_strict(output.json_schema)}}


def is_strict(schema: Any) -> bool:
    """Whether OpenAI takes this schema with `strict: true` (its Structured Outputs guide): closed objects, every property required."""
    return isinstance(schema, dict) and schema.get("type") == "object" and "anyOf" not in schema and all(map(_closed, _subschemas(schema)))


def _subschemas(schema: Any) -> Iterator[Body]:
    if not isinstance(schema, dict):
        return
    yield schema
    for keyword in ("properties", "$defs", "definitions"):
        named = schema.get(keyword)
        for inner in named.values() if isinstance(named, dict) else ():
            yield from _subschemas(inner)
    for inner in (schema.get("items"), *_listed(schema.get("anyOf"))):
        yield from _subschemas(inner)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _closed(schema: Body) -> bool:
    if not STRICT_KEYWORDS.issuperset(schema) or not {"type", "anyOf", "$ref", "enum", "const"}.intersection(schema):
        return False
    kinds = schema.get("type")
    if kinds != "object" and not (isinstance(kinds, list) and "object" in kinds):
        return True
    properties, required = schema.get("properties", {}), schema.get("required", [])
    return schema.get("additionalProperties") is False and isinstance(properties, dict) and isinstance(required, list) and set(properties) == set(required)
