"""Our requests as bodies of Ollama's own API; what it cannot say is warned of or refused, never lost in silence."""

from collections.abc import Iterator, Mapping, Sequence

from pydantic_core import to_json

from catalog.kinds import ProviderKind
from contracts.content import (
    BlobPart,
    ChatMessageV1,
    Part,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolCallResponsePart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    ToolV1,
)
from contracts.outcome import WarningV1
from contracts.request import ChatRequestV1, EmbedRequestV1, SamplingV1

from ..conversion import Conversion, Unconvertible, merge_options
from ..protocol import Body

OWNED = frozenset({"model", "messages", "input", "stream"})


def chat_body(request: ChatRequestV1, model: str, kind: ProviderKind, provider_id: str | None = None) -> tuple[Body, tuple[WarningV1, ...]]:
    """The body of `POST /api/chat`, and what it could not carry. Raises Unconvertible."""
    conversion = Conversion(kind)
    names = {part.id: part.name for message in request.messages for part in message.all_parts() if isinstance(part, ToolCallPart)}
    messages = [wire for index, message in enumerate(request.messages) for wire in _messages(message, index, names, conversion)]
    body: Body = {"model": model, "messages": messages, "stream": request.stream}
    if request.tools and request.tool_choice != "none":
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice not in (None, "auto", "none"):
        conversion.dropped("tool_choice")
    if request.output is not None:
        body["format"] = request.output.json_schema
    if options := _options(request.sampling):
        body["options"] = options
    merge_options(body, request.provider_options, conversion, provider_id, owned=OWNED, deep=True)
    return body, tuple(conversion.warnings)


def embed_body(request: EmbedRequestV1, model: str, kind: ProviderKind, provider_id: str | None = None) -> tuple[Body, tuple[WarningV1, ...]]:
    """The body of `POST /api/embed`."""
    conversion = Conversion(kind)
    body: Body = {"model": model, "input": list(request.input)}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    merge_options(body, request.provider_options, conversion, provider_id, owned=OWNED)
    return body, tuple(conversion.warnings)


def _tool(tool: ToolV1) -> Body:
    return {"type": "function", "function": tool.model_dump(include={"name", "description", "parameters"}, exclude_none=True)}


def _options(sampling: SamplingV1) -> Body:
    wire = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "num_predict": sampling.max_output_tokens,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
    }
    return {name: value for name, value in wire.items() if value is not None}


def _messages(message: ChatMessageV1, index: int, names: Mapping[str, str], conversion: Conversion) -> Iterator[Body]:
    """One turn as wire messages: each tool's answer is a message of its own there, and comes first."""
    parts = message.all_parts()
    for part in parts:
        if isinstance(part, ToolCallResponsePart):
            if part.is_error:
                conversion.dropped("tool_call_response.is_error")
            named = {"tool_name": names[part.id]} if part.id in names else {}
            yield {
                "role": "tool",
                "content": part.response if isinstance(part.response, str) else to_json(part.response).decode(),
                "tool_call_id": part.id,
                **named,
            }
    rest = [(at, part) for at, part in enumerate(parts) if not isinstance(part, ToolCallResponsePart)]
    if rest and message.role == "tool":
        raise Unconvertible(f"messages.{index}: a tool turn holds parts of type 'tool_call_response' with the id of the call; put other parts into a user turn")
    if rest or not parts:
        yield _message(message.role, rest, index, conversion)


def _message(role: str, parts: Sequence[tuple[int, Part]], index: int, conversion: Conversion) -> Body:
    wire: Body = {"role": role, "content": "".join(part.content for _, part in parts if isinstance(part, TextPart))}
    thought, images, calls = "", [], []
    for at, part in parts:
        if isinstance(part, ReasoningPart):
            thought += part.content or ""
        elif isinstance(part, ToolCallPart):
            calls.append({"id": part.id, "function": {"name": part.name, "arguments": part.arguments}})
        elif isinstance(part, ServerToolCallPart | ServerToolCallResponsePart):
            conversion.dropped(f"part of type {part.type!r}")
        elif not isinstance(part, TextPart):
            images.append(_image(part, f"messages.{index}.parts.{at}", conversion))
    return {**wire, **{name: value for name, value in (("thinking", thought), ("images", images), ("tool_calls", calls)) if value}}


def _image(part: Part, where: str, conversion: Conversion) -> str:
    if isinstance(part, BlobPart) and part.modality == "image":
        return part.content
    raise Unconvertible(f"{where}: {conversion.kind.type} takes no {part.type!r} part but an image's blob; leave it out or ask another provider")
