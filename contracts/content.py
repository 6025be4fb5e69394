"""Conversations: messages made of parts (OpenTelemetry's GenAI shapes), tools and tool choice."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from .base import Closed

Modality = Literal["image", "audio", "video", "document"]


class PartFields(Closed):
    """What each part may carry: `provider_data`, kept for the provider that made it."""

    provider_data: dict[str, Any] | None = None


class TextPart(PartFields):
    type: Literal["text"] = "text"
    content: str


class ToolCallPart(PartFields):
    type: Literal["tool_call"] = "tool_call"
    id: str
    name: str
    arguments: dict[str, Any]


class ToolCallResponsePart(PartFields):
    type: Literal["tool_call_response"] = "tool_call_response"
    id: str
    response: Any
    is_error: bool = False


class ReasoningPart(PartFields):
    type: Literal["reasoning"] = "reasoning"
    content: str | None = None
    signature: str | None = None
    encrypted: str | None = None


class BlobPart(PartFields):
    type: Literal["blob"] = "blob"
    modality: Modality
    mime_type: str
    content: str
    """Base64."""


class UriPart(PartFields):
    type: Literal["uri"] = "uri"
    modality: Modality
    mime_type: str | None = None
    uri: str


class FilePart(PartFields):
    type: Literal["file"] = "file"
    modality: Modality
    mime_type: str | None = None
    file_id: str


class ServerToolCallPart(PartFields):
    type: Literal["server_tool_call"] = "server_tool_call"
    id: str | None = None
    name: str
    arguments: Any = None


class ServerToolCallResponsePart(PartFields):
    type: Literal["server_tool_call_response"] = "server_tool_call_response"
    id: str | None = None
    response: Any = None


Part = Annotated[
    TextPart | ToolCallPart | ToolCallResponsePart | ReasoningPart | BlobPart | UriPart | FilePart | ServerToolCallPart | ServerToolCallResponsePart,
    Field(discriminator="type"),
]


class ChatMessageV1(Closed):
    """One turn. `content` is short for one text part; exactly one of `content` and `parts` is given."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    parts: tuple[Part, ...] | None = None

    @model_validator(mode="after")
    def _content_xor_parts(self) -> Self:
        if (self.content is None) == (self.parts is None):
            raise ValueError("give exactly one of 'content' and 'parts'")
        return self

    def all_parts(self) -> tuple[Part, ...]:
        """The parts, whichever way they were written."""
        return self.parts if self.parts is not None else (TextPart(content=self.content or ""),)


class ToolV1(Closed):
    """A function that the model may call; `parameters` is its JSON Schema. `strict`: the provider makes sure that the arguments fit it."""

    type: Literal["function"] = "function"
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object"})
    strict: bool | None = None


class NamedToolV1(Closed):
    """Forces one tool."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | NamedToolV1


def text_of(parts: tuple[Part, ...]) -> str:
    """All text parts joined: what a schema is checked against."""
    return "".join(part.content for part in parts if isinstance(part, TextPart))
