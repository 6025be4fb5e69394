"""Whether two requests to Google say the same, and whether the SDK's types take them."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from google.genai import types
from pydantic import ValidationError

FREE_FORM = frozenset({"args", "response", "parametersJsonSchema", "responseJsonSchema", "labels", "parameters", "responseSchema"})
"""Below these keys names belong to the caller."""
ALLOWED: Mapping[str, str] = {
    "names in camel case": "Google takes both; recorders send snake_case in places",
    "base64 in either alphabet": "Google takes both; we send what the contract holds",
    "systemInstruction.role": "it has no meaning there",
    "role absent or `function`": "older words for `user`",
    "an id where the recorded call or answer has none": "Google takes an answer's id from its call, or none",
    "a placeholder where a recorded call has no signature": "Gemini 3 refuses such a call; Google's page on thought signatures names the placeholder",
    "parameters as parametersJsonSchema": "the same schema: Google's Schema type in JSON Schema's words",
    "a lone message as a list": "Google takes both",
    "function declarations in one tool": "a list in one tool or a tool for each: Google joins them",
    "empty objects": "generationConfig {} says nothing",
    "modes and thinking levels in upper case": "enum names are read without regard to case",
}
PLACEHOLDER = "skip_thought_signature_validator"
TOP_LEVEL = frozenset(
    {
        "contents",
        "systemInstruction",
        "tools",
        "toolConfig",
        "generationConfig",
        "safetySettings",
        "cachedContent",
        "labels",
        "modelArmorConfig",
        "serviceTier",
        "store",
    }
)
EMBEDDING = frozenset({"requests", "content", "embedContentConfig", "instances", "parameters"})


def camel(value: Any) -> Any:
    """Google's field names in camel case, what the caller named left alone."""
    if isinstance(value, list):
        return [camel(one) for one in value]
    if not isinstance(value, dict):
        return value
    named = {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): inner for name, inner in value.items()}
    return {name: inner if name in FREE_FORM else camel(inner) for name, inner in named.items()}


def listed(value: Any) -> list[Any]:
    """Google takes a lone message where a list is due."""
    return [] if value is None else value if isinstance(value, list) else [value]


def role_of(content: Mapping[str, Any]) -> str:
    return "model" if content.get("role") == "model" else "user"


def json_schema(schema: Any) -> Any:
    """Google's Schema in JSON Schema's words."""
    if isinstance(schema, list):
        return [json_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: value.lower() if name == "type" and isinstance(value, str) else json_schema(value) for name, value in schema.items()}


def decoded(text: str) -> bytes:
    """The bytes; recorders cut and blackened some, and what is left is compared as it stands."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return text.encode()


def differences(recorded_request: Any, sent_request: Any) -> list[str]:
    """Where the requests differ beyond what ALLOWED names."""
    return list(_differ("", canonical(camel(recorded_request)), canonical(camel(sent_request))))


def canonical(request: Mapping[str, Any]) -> Any:
    wire = {name: value for name, value in request.items() if value not in ({}, [], None)}
    if "tools" in wire:
        tools = listed(wire["tools"])
        declared = [_function(one) for tool in tools for one in listed(tool.get("functionDeclarations"))]
        wire["tools"] = [*([{"functionDeclarations": declared}] if declared else []), *(tool for tool in tools if "functionDeclarations" not in tool)]
    if "systemInstruction" in wire:
        wire["systemInstruction"] = {"parts": listed(wire["systemInstruction"]["parts"])}
    if "contents" in wire:
        wire["contents"] = [{"role": role_of(content), "parts": listed(content["parts"])} for content in listed(wire["contents"])]
    return _plain(wire)


def _function(declared: Mapping[str, Any]) -> dict[str, Any]:
    schema = declared.get("parametersJsonSchema") or json_schema(declared.get("parameters", {}))
    return {"name": declared["name"], "description": declared.get("description"), "parametersJsonSchema": schema}


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, list):
        return [_plain(one, name) for one in value]
    if isinstance(value, dict):
        return value if name in FREE_FORM else {key: _plain(inner, key) for key, inner in value.items()}
    if name in ("data", "thoughtSignature") and isinstance(value, str):
        return decoded(value)
    return value.upper() if name in ("mode", "thinkingLevel") and isinstance(value, str) else value


def _differ(where: str, recorded: Any, sent: Any) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(sent, dict):
        for name in sorted({*recorded, *sent}):
            unnamed = name == "id" and "id" not in recorded and where.endswith((".functionCall", ".functionResponse"))
            unsigned = name == "thoughtSignature" and name not in recorded and sent.get(name) == decoded(PLACEHOLDER)
            if not unnamed and not unsigned:
                yield from _differ(f"{where}.{name}", recorded.get(name), sent.get(name))
    elif isinstance(recorded, list) and isinstance(sent, list) and len(recorded) == len(sent):
        for at, (one, other) in enumerate(zip(recorded, sent, strict=True)):
            yield from _differ(f"{where}[{at}]", one, other)
    elif recorded != sent:
        yield f"{where}: recorded {str(recorded)[:200]!r}, sent {str(sent)[:200]!r}"


def accepted(sent_request: Any) -> str | None:
    """What the SDK's types, closed to unknown fields, say of the body."""
    if unknown := set(sent_request) - TOP_LEVEL - EMBEDDING:
        return f"unknown fields {sorted(unknown)}"
    try:
        for content in (*sent_request.get("contents", ()), *(one["content"] for one in sent_request.get("requests", ()))):
            types.Content.model_validate(_mended(content))
        for tool in sent_request.get("tools", ()):
            types.Tool.model_validate(tool)
        for name, of in (("systemInstruction", types.Content), ("generationConfig", types.GenerationConfig), ("toolConfig", types.ToolConfig)):
            of.model_validate(sent_request.get(name, {}))
    except ValidationError as error:
        return str(error)
    return None


def _mended(content: Mapping[str, Any]) -> Any:
    """Base64 that recorders destroyed says nothing of the request that was sent with it."""
    text = json.dumps(content)
    return json.loads(re.sub(r'"(data|thoughtSignature)": "([^"]*)"', lambda found: f'"{found[1]}": "{base64.b64encode(decoded(found[2])).decode()}"', text))
