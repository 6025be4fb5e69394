"""Whether a Converse request asks for the same as the recorded one, and whether botocore's service model accepts it."""

import base64
import binascii
import json
from functools import cache
from typing import Any

from botocore.model import OperationModel, Shape
from botocore.session import Session
from botocore.validate import ParamValidator

from tests.corpus.bodies import differ

ALLOWED = {
    "null, absent or empty": "a field that is null or empty asks for nothing; recorders send an empty system and an empty inferenceConfig",
    "status: success": "the default of a tool's result",
    "turns in a row": "a conversation has to alternate: turns of one role in a row are one turn",
    "schema as text": "compared decoded: spaces and the order of keys say nothing",
    "order of tools": "function tools come before those of provider_options",
    "a tool for a schema": "models outside AWS's list for structured output (Claude before 4.5) are asked by a tool; some recordings were written by hand",
    "description of a schema": "Converse has a place beside the schema for it, our contract has the schema's own",
}
"""What may differ from a recorded request, and why."""


def differences(recorded_request: Any, sent_request: Any) -> list[str]:
    wanted = (recorded_request.get("outputConfig") or {}).get("textFormat")
    return list(differ("", _same(recorded_request), _same(_without_tool(sent_request, wanted) if wanted else sent_request)))


def _without_tool(sent: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """With the schema where the recording has it, if a tool stands for it."""
    schema = wanted["structure"]["jsonSchema"]
    tools = sent.get("toolConfig", {}).get("tools", [])
    spec = tools[-1].get("toolSpec", {}) if tools else {}
    if spec.get("name") != schema.get("name") or spec["inputSchema"]["json"] != json.loads(schema["schema"]):
        return sent
    rest = {"tools": tools[:-1]} if tools[:-1] else None
    return {**sent, "toolConfig": rest, "outputConfig": {"textFormat": wanted}}


def _same(request: Any) -> dict[str, Any]:
    asked: dict[str, Any] = _given(request)
    asked["messages"] = _turns(asked["messages"])
    if "tools" in asked.get("toolConfig", {}):
        asked["toolConfig"]["tools"] = sorted(asked["toolConfig"]["tools"], key=lambda tool: "toolSpec" not in tool)
    wanted = asked.get("outputConfig", {}).get("textFormat", {}).get("structure", {}).get("jsonSchema")
    if wanted is not None:
        schema = json.loads(wanted["schema"])
        wanted["schema"] = {"description": wanted.pop("description", None), **schema}
    return asked


def _given(value: Any, *, within: bool = False) -> Any:
    """Without what asks for nothing; what a tool takes or gives, and schemas, as they are."""
    if within:
        return value
    if isinstance(value, dict):
        found = {name: _given(inner, within=name in ("json", "input", "additionalModelRequestFields")) for name, inner in value.items()}
        return {name: inner for name, inner in found.items() if (inner or name in ("auto", "any", "json", "input")) and (name, inner) != ("status", "success")}
    return [_given(inner) for inner in value] if isinstance(value, list) else value


def _turns(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    for message in messages:
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1]["content"] += message["content"]
        else:
            turns.append(dict(message))
    return turns


def accepted(sent_request: Any) -> str | None:
    shape = _operation().input_shape
    report = ParamValidator().validate({"modelId": "in-the-path", **_typed(sent_request, shape)}, shape)
    return report.generate_report() if report.has_errors() else None


@cache
def _operation() -> OperationModel:
    return Session().get_service_model("bedrock-runtime").operation_model("Converse")


def _typed(value: Any, shape: Shape) -> Any:
    """Bytes where the model says blob, as botocore takes them."""
    if shape.type_name == "structure" and isinstance(value, dict) and not getattr(shape, "is_document_type", False):
        return {name: _typed(inner, shape.members[name]) if name in shape.members else inner for name, inner in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_typed(inner, shape.member) for inner in value]
    if shape.type_name == "blob" and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error:
            return value
    return value
