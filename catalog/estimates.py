"""Input tokens guessed from a request, before a provider has counted them."""

import json
from typing import Any

from contracts.content import (
    BlobPart,
    FilePart,
    Part,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolCallResponsePart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    ToolV1,
    UriPart,
)
from contracts.request import ChatRequestV1, Request

CHARACTERS_A_TOKEN = 4
MEDIA_TOKENS = 1000
"""Flat, for each image, recording or document."""


def estimate_input_tokens(request: Request) -> int:
    """Characters / 4 of all text, tools and schemas, and a flat number for each piece of media; rounded up."""
    if not isinstance(request, ChatRequestV1):
        return _tokens(sum(map(len, request.input)))
    parts = [part for message in request.messages for part in message.parts or ()]
    characters = sum(len(message.content) for message in request.messages if message.content)
    characters += sum(map(_characters, parts)) + sum(map(_tool_characters, request.tools))
    if request.output is not None:
        characters += len(_json(request.output.json_schema))
    return _tokens(characters) + MEDIA_TOKENS * sum(isinstance(part, BlobPart | UriPart | FilePart) for part in parts)


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_A_TOKEN)


def _characters(part: Part) -> int:
    match part:
        case TextPart():
            return len(part.content)
        case ReasoningPart():
            return len(part.content or "") + len(part.encrypted or "")
        case ToolCallPart() | ServerToolCallPart():
            return len(part.name) + len(_json(part.arguments))
        case ToolCallResponsePart() | ServerToolCallResponsePart():
            return len(part.response) if isinstance(part.response, str) else len(_json(part.response))
        case _:
            return 0


def _tool_characters(tool: ToolV1) -> int:
    return len(tool.name) + len(tool.description or "") + len(_json(tool.parameters))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
