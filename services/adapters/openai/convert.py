"""Our requests as chat-completions and embeddings bodies; what the wire cannot say is warned of or refused, never lost in silence."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import to_json

from catalog.kinds import ProviderKind
from contracts.content import (
    BlobPart,
    ChatMessageV1,
    FilePart,
    Part,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolCallResponsePart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    ToolChoice,
    ToolV1,
    UriPart,
)
from contracts.outcome import WarningV1
from contracts.request import ChatRequestV1, EmbedRequestV1, OutputV1

from ..conversion import Conversion, Unconvertible, merge_options
from ..protocol import Body

OWNED = frozenset({"model", "messages", "input", "stream"})
"""What `provider_options` may not replace: the router chose the model, and the reader depends on the rest."""
AUDIO_FORMATS = {"audio/x-wav": "wav", "audio/wave": "wav", "audio/vnd.wave": "wav", "audio/mpeg": "mp3", "audio/x-mp3": "mp3", "audio/x-flac": "flac"}
STRICT_KEYWORDS = frozenset(
    {
        *("type", "properties", "required", "additionalProperties", "items", "anyOf", "$ref", "$defs", "definitions", "enum", "const"),
        *("title", "description", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minItems", "maxItems"),
    }
)


def chat_body(request: ChatRequestV1, model: str, kind: ProviderKind, provider_id: str | None = None) -> tuple[Body, tuple[WarningV1, ...]]:
    """The body of `POST /chat/completions`, and what it could not carry. Raises Unconvertible."""
    conversion = Conversion(kind)
    messages = [wire for index, message in enumerate(request.messages) for wire in _messages(message, index, conversion)]
    body: Body = {"model": model, "messages": messages, **_tools(request.tools, request.tool_choice, conversion), **_sampling(request, kind)}
    if request.output is not None:
        body["response_format"] = _response_format(request.output)
    if request.stream:
        body["stream"] = True
        if kind.stream_usage:
            body["stream_options"] = {"include_usage": True}
    merge_options(body, request.provider_options, conversion, provider_id, owned=OWNED)
    return body, tuple(conversion.warnings)


def embed_body(request: EmbedRequestV1, model: str, kind: ProviderKind, provider_id: str | None = None) -> tuple[Body, tuple[WarningV1, ...]]:
    """The body of `POST /embeddings`."""
    conversion = Conversion(kind)
    body: Body = {"model": model, "input": list(request.input), "encoding_format": request.encoding}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    merge_options(body, request.provider_options, conversion, provider_id, owned=OWNED)
    return body, tuple(conversion.warnings)


def _sampling(request: ChatRequestV1, kind: ProviderKind) -> Body:
    sampling = request.sampling
    wire = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        kind.max_tokens_parameter: sampling.max_output_tokens,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
    }
    return {name: value for name, value in wire.items() if value is not None}


def _tools(tools: tuple[ToolV1, ...], choice: ToolChoice | None, conversion: Conversion) -> Body:
    if not tools:
        if choice is not None and choice != "none":
            conversion.dropped("tool_choice without tools")
        return {}
    wire: Body = {"tools": [{"type": "function", "function": _function(tool)} for tool in tools]}
    if choice is not None:
        wire["tool_choice"] = choice if isinstance(choice, str) else {"type": "function", "function": {"name": choice.name}}
    return wire


def _function(tool: ToolV1) -> Body:
    described = {} if tool.description is None else {"description": tool.description}
    strict = {} if tool.strict is None else {"strict": tool.strict}
    return {"name": tool.name, **described, "parameters": tool.parameters, **strict}


def _response_format(output: OutputV1) -> Body:
    return {"type": "json_schema", "json_schema": {"name": output.name, "schema": output.json_schema, "strict": is_strict(output.json_schema)}}


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


def _messages(message: ChatMessageV1, index: int, conversion: Conversion) -> Iterator[Body]:
    """One turn as wire messages: each tool's answer is a message of its own there, and comes first."""
    parts = message.all_parts()
    responses = [part for part in parts if isinstance(part, ToolCallResponsePart)]
    for response in responses:
        yield _tool_message(response, conversion)
    rest: list[tuple[int, Part]] = [(at, part) for at, part in enumerate(parts) if not isinstance(part, ToolCallResponsePart)]
    if not rest and (responses or not parts):
        return
    if message.role == "assistant":
        yield _assistant(rest, index, conversion)
    elif message.role == "tool":
        raise Unconvertible(f"messages.{index}: a tool turn holds parts of type 'tool_call_response' with the id of the call; put other parts into a user turn")
    else:
        yield {"role": message.role, "content": _content(rest, index, message.role, conversion)}


def _tool_message(part: ToolCallResponsePart, conversion: Conversion) -> Body:
    if part.is_error:
        conversion.dropped("tool_call_response.is_error")
    text = part.response if isinstance(part.response, str) else to_json(part.response).decode()
    return {"role": "tool", "tool_call_id": part.id, "content": text}


def _assistant(parts: list[tuple[int, Part]], index: int, conversion: Conversion) -> Body:
    texts: list[str] = []
    calls: list[Body] = []
    reasoning: list[str] = []
    for at, part in parts:
        if isinstance(part, TextPart):
            texts.append(part.content)
        elif isinstance(part, ToolCallPart):
            calls.append({"id": part.id, "type": "function", "function": {"name": part.name, "arguments": _arguments(part)}})
        elif isinstance(part, ReasoningPart) and conversion.kind.reasoning_field and part.content is not None:
            reasoning.append(part.content)
        elif isinstance(part, ReasoningPart | ServerToolCallPart | ServerToolCallResponsePart):
            conversion.dropped(f"part of type {part.type!r}")
        else:
            raise Unconvertible(
                f"messages.{index}.parts.{at}: {conversion.kind.type} takes no {part.type!r} part in an assistant turn; put it into a user turn"
            )
    wire: Body = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
    if reasoning and conversion.kind.reasoning_field:
        wire[conversion.kind.reasoning_field] = "".join(reasoning)
    return {**wire, "tool_calls": calls} if calls else wire


def _arguments(part: ToolCallPart) -> str:
    """The arguments as the model wrote them, where they could not be decoded; else as JSON."""
    raw = (part.provider_data or {}).get("raw_arguments")
    return raw if isinstance(raw, str) and not part.arguments else to_json(part.arguments).decode()


def _content(parts: list[tuple[int, Part]], index: int, role: str, conversion: Conversion) -> str | list[Body]:
    """A lone text as a string, which every server takes; anything else as content blocks."""
    if len(parts) == 1 and isinstance(parts[0][1], TextPart):
        return parts[0][1].content
    if role == "system" and all(isinstance(part, TextPart) for _, part in parts):
        return "\n\n".join(part.content for _, part in parts if isinstance(part, TextPart))
    return [block for at, part in parts if (block := _block(part, f"messages.{index}.parts.{at}", conversion)) is not None]


def _block(part: Part, where: str, conversion: Conversion) -> Body | None:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.content}
    if isinstance(part, FilePart):
        return {"type": "file", "file": {"file_id": part.file_id}}
    if isinstance(part, UriPart) and part.modality in conversion.kind.media_urls:
        return _url_block(part.modality, part.uri)
    if isinstance(part, BlobPart):
        return _blob_block(part, where, conversion)
    if isinstance(part, ReasoningPart | ServerToolCallPart | ServerToolCallResponsePart):
        conversion.dropped(f"part of type {part.type!r}")
        return None
    what = f"{part.modality} by uri" if isinstance(part, UriPart) else f"{part.type!r} part in this turn"
    raise Unconvertible(f"{where}: {conversion.kind.type} takes no {what}; send it as a blob or to another provider")


def _blob_block(part: BlobPart, where: str, conversion: Conversion) -> Body:
    data_url = f"data:{part.mime_type};base64,{part.content}"
    if part.modality == "audio":
        subtype = AUDIO_FORMATS.get(part.mime_type, part.mime_type.partition("/")[2])
        return {"type": "input_audio", "input_audio": {"data": part.content, "format": subtype}}
    if part.modality in conversion.kind.media_urls:
        return _url_block(part.modality, data_url)
    if part.modality == "document":
        name = (part.provider_data or {}).get("filename", "document.pdf" if part.mime_type == "application/pdf" else "document")
        return {"type": "file", "file": {"filename": name, "file_data": data_url}}
    raise Unconvertible(f"{where}: {conversion.kind.type} takes no {part.modality}; send it to another provider")


def _url_block(modality: str, url: str) -> Body:
    return {"type": f"{modality}_url", f"{modality}_url": {"url": url}}
