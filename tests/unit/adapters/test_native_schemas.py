"""JSON Schemas as providers take them: what they refuse is said in descriptions, or not at all, and then a tool takes their place."""

from typing import Any

import pytest
from anthropic import transform_schema

from catalog.kinds import kind_of
from services.adapters.anthropic.convert import SCHEMAS
from services.adapters.conversion import Conversion
from services.adapters.schemas import native_schema


def native(schema: Any) -> tuple[Any, list[str]]:
    conversion = Conversion(kind_of("anthropic"))
    return native_schema(schema, SCHEMAS, conversion), [warning.message for warning in conversion.warnings]


def person(**more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"name": {"type": "string"}, **more}, "required": ["name"]}


@pytest.mark.parametrize(
    "schema",
    [
        person(),
        person(tags={"type": "array", "items": person(), "minItems": 1}),
        {**person(friend={"$ref": "#/$defs/P"}), "$defs": {"P": person(day={"type": "string", "format": "date"})}},
        person(pet={"oneOf": [person(), {"type": "null"}]}),
        person(pet={"anyOf": [person(), {"type": "null"}]}),
    ],
)
def test_what_the_provider_takes_is_said_as_its_own_sdk_says_it(schema: Any) -> None:
    assert native(schema)[0] == transform_schema(schema)


def test_limits_and_formats_that_it_refuses_move_into_descriptions_and_names_of_properties_stay() -> None:
    schema = person(minimum={"type": "integer", "minimum": 0, "maximum": 9, "description": "how few"}, code={"type": "string", "format": "regex"})
    found, warned = native(schema)
    assert found["properties"]["minimum"] == {"type": "integer", "description": "how few (minimum: 0, maximum: 9)"}
    assert found["properties"]["code"] == {"type": "string", "description": '(format: "regex")'} and len(warned) == 2
    assert schema["properties"]["minimum"]["minimum"] == 0


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        person(extra={"type": "object", "properties": {"a": {}}, "additionalProperties": True}),
        {"$ref": "#/$defs/Tree", "$defs": {"Tree": person(children={"type": "array", "items": {"$ref": "#/$defs/Tree"}})}},
        {**person(a={"$ref": "#/$defs/A"}), "$defs": {"A": person(b={"$ref": "#/$defs/B"}), "B": person(a={"$ref": "#/$defs/A"})}},
        person(self={"$ref": "#"}),
    ],
)
def test_free_keys_and_recursion_have_no_native_form(schema: Any) -> None:
    assert native(schema)[0] is None


def test_a_definition_that_is_used_twice_is_not_recursive() -> None:
    twice = {**person(a={"$ref": "#/$defs/P"}, b={"$ref": "#/$defs/P"}), "$defs": {"P": person()}}
    assert native(twice)[0] is not None
