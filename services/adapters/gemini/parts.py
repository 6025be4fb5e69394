"""Our parts as Google's, and Google's as ours; what only Google understands travels in `provider_data`, under Google's own names."""

import mimetypes

from pydantic_core import to_json

from contracts.content import (
    BlobPart,
    FilePart,
    Modality,
    Part,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolCallResponsePart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)

from ..conversion import Conversion, Unconvertible
from ..protocol import Body
from ..reading import text_or_none
from ..results import parts_in

SERVER_SIDE = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")
"""What the model did with tools on Google's side: sent back as it came."""
KEPT = ("thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata", *SERVER_SIDE)
ANNOTATION = "annotation"
"""In provider_data: the part tells of the answer and is no part of the conversation; Google takes none back."""
THOUGHT = "thought"
"""In provider_data: the reasoning is Google's, and so is its signature."""
INVENTED_ID = "invented_id"
"""In provider_data: the call came without an id, so it goes back without one."""
FILES = "https://generativelanguage.googleapis.com/v1beta/"
Calls = dict[str, ToolCallPart]


def outgoing(part: Part, where: str, calls: Calls, conversion: Conversion) -> Body | None:
    """One part of a user's or the model's turn; None where it is left out. Raises Unconvertible."""
    match part:
        case TextPart():
            return {"text": part.content, **_kept(part)}
        case ToolCallPart():
            return {"functionCall": _call(part, conversion), **_kept(part)}
        case ToolCallResponsePart():
            return {"functionResponse": _response(part, where, calls), **_kept(part)}
        case ReasoningPart():
            return _thought(part, conversion)
        case BlobPart() | UriPart() | FilePart():
            return {**_media_of(part), **_kept(part)}
        case _:
            return _server_side(part, conversion)


def _kept(part: Part) -> Body:
    given = part.provider_data or {}
    return {name: given[name] for name in KEPT if name in given}


def _call(part: ToolCallPart, conversion: Conversion) -> Body:
    given = part.provider_data or {}
    if "raw_arguments" in given and not part.arguments:
        conversion.dropped(f"tool_call {part.id!r}: arguments that are no JSON object")
    named = {} if given.get(INVENTED_ID) else {"id": part.id}
    return {**named, "name": part.name, "args": part.arguments}


def _response(part: ToolCallResponsePart, where: str, calls: Calls) -> Body:
    """Google wants the function's name again; `provider_data.functionResponse` may add to it (`parts` with media, `willContinue`)."""
    given = (part.provider_data or {}).get("functionResponse")
    further = given if isinstance(given, dict) else {}
    call = calls.get(part.id)
    name = call.name if call is not None else further.get("name")
    if not isinstance(name, str):
        raise Unconvertible(f"{where}: Google wants the function's name, and no earlier part of type 'tool_call' has the id {part.id!r}")
    named = {} if call is not None and (call.provider_data or {}).get(INVENTED_ID) else {"id": part.id}
    return {**further, **named, "name": name, **_answer(part)}


def _answer(part: ToolCallResponsePart) -> Body:
    """Google takes an object; its documentation names the keys `output` and `error` for what is none. Media stand beside it."""
    if isinstance(part.response, dict):
        return {"response": part.response if not part.is_error or "error" in part.response else {"error": part.response}}
    key, parts = "error" if part.is_error else "output", parts_in(part.response)
    if not parts:
        return {"response": {key: part.response}}
    texts = [one.content for one in parts if isinstance(one, TextPart)]
    media = [_media_of(one) for one in parts if not isinstance(one, TextPart)]
    return {"response": {key: "\n".join(texts)} if texts else {}, **({"parts": media} if media else {})}


def _media_of(part: BlobPart | UriPart | FilePart) -> Body:
    return {"inlineData": {"mimeType": part.mime_type, "data": part.content}} if isinstance(part, BlobPart) else _linked(part)


def _thought(part: ReasoningPart, conversion: Conversion) -> Body | None:
    """A thought goes back with its signature. Of another provider's reasoning only the words mean something here: its signature would be refused."""
    own = THOUGHT in (part.provider_data or {})
    if not own and (part.encrypted is not None or part.provider_data is not None or not (part.content or part.signature)):
        conversion.dropped("part of type 'reasoning' of another provider")
        return None
    if not own and part.content is not None and part.signature:
        conversion.dropped("the signature of another provider's reasoning")
        return {"text": part.content, "thought": True} if part.content else None
    thought: Body = {"thought": True} if part.content is None else {"text": part.content, "thought": True}
    return {**thought, **({"thoughtSignature": part.signature} if part.signature else {}), **_kept(part)}


def _linked(part: UriPart | FilePart) -> Body:
    uri = part.uri if isinstance(part, UriPart) else part.file_id
    if uri.startswith("files/"):
        uri = FILES + uri
    if uri.startswith("data:") and ";base64," in uri:
        declared, _, data = uri.removeprefix("data:").partition(";base64,")
        return {"inlineData": {"mimeType": part.mime_type or declared, "data": data}}
    mime_type = part.mime_type or mimetypes.guess_type(uri.partition("?")[0])[0]
    return {"fileData": {"fileUri": uri, **({"mimeType": mime_type} if mime_type else {})}}


def _server_side(part: ServerToolCallPart | ServerToolCallResponsePart, conversion: Conversion) -> Body | None:
    kept = _kept(part) or _by_hand(part)
    if any(name in kept for name in SERVER_SIDE):
        return kept
    if not (part.provider_data or {}).get(ANNOTATION):
        conversion.dropped(f"part of type {part.type!r} of another provider")
    return None


def _by_hand(part: ServerToolCallPart | ServerToolCallResponsePart) -> Body:
    """Code and its result as a conversation written by hand tells them."""
    told, named = part.arguments if isinstance(part, ServerToolCallPart) else part.response, {"id": part.id} if part.id else {}
    if part.provider_data or not isinstance(told, dict):
        return {}
    if isinstance(part, ServerToolCallPart):
        return {"executableCode": {**named, **told}} if part.name == "code_execution" and "code" in told else {}
    return {"codeExecutionResult": {**named, **told}} if "outcome" in told else {}


def incoming(wire: Body, invented_id: str) -> Part | None:
    """One part of an answer; None where it holds nothing that is known."""
    kept: Body = {name: wire[name] for name in KEPT if name in wire}
    if isinstance(call := wire.get("functionCall"), dict):
        return _called(call, kept, invented_id)
    if isinstance(text := wire.get("text"), str) or wire.get("thought"):
        return _said(text if isinstance(text, str) else None, bool(wire.get("thought")), kept)
    for name in ("inlineData", "fileData"):
        if isinstance(media := wire.get(name), dict):
            return _media(media, kept)
    return _acted(kept)


def _called(call: Body, kept: Body, invented_id: str) -> ToolCallPart:
    given, args = text_or_none(call.get("id")), call.get("args")
    extra = kept if given else {**kept, INVENTED_ID: True}
    if args is not None and not isinstance(args, dict):
        extra = {**extra, "raw_arguments": to_json(args).decode()}
    return ToolCallPart(
        id=given or invented_id, name=text_or_none(call.get("name")) or "", arguments=args if isinstance(args, dict) else {}, provider_data=extra or None
    )


def _said(text: str | None, thought: bool, kept: Body) -> Part:
    if not thought:
        return TextPart(content=text or "", provider_data=kept or None)
    rest = {name: value for name, value in kept.items() if name != "thoughtSignature"}
    return ReasoningPart(content=text, signature=text_or_none(kept.get("thoughtSignature")), provider_data={THOUGHT: True, **rest})


def _media(media: Body, kept: Body) -> Part | None:
    mime_type = text_or_none(media.get("mimeType")) or "application/octet-stream"
    if isinstance(data := media.get("data"), str):
        return BlobPart(modality=modality_of(mime_type), mime_type=mime_type, content=data, provider_data=kept or None)
    if isinstance(uri := media.get("fileUri"), str):
        return UriPart(modality=modality_of(mime_type), mime_type=mime_type, uri=uri, provider_data=kept or None)
    return None


def modality_of(mime_type: str) -> Modality:
    match mime_type.partition("/")[0]:
        case "image":
            return "image"
        case "audio":
            return "audio"
        case "video":
            return "video"
        case _:
            return "document"


def _acted(kept: Body) -> Part | None:
    """Code that was run and tools that were called on Google's side, and what came of them."""
    if isinstance(code := kept.get("executableCode"), dict):
        return ServerToolCallPart(id=text_or_none(code.get("id")), name="code_execution", arguments=_without_id(code), provider_data=kept)
    if isinstance(result := kept.get("codeExecutionResult"), dict):
        return ServerToolCallResponsePart(id=text_or_none(result.get("id")), response=_without_id(result), provider_data=kept)
    if isinstance(call := kept.get("toolCall"), dict):
        return ServerToolCallPart(
            id=text_or_none(call.get("id")), name=text_or_none(call.get("toolType")) or "", arguments=call.get("args"), provider_data=kept
        )
    if isinstance(answer := kept.get("toolResponse"), dict):
        return ServerToolCallResponsePart(id=text_or_none(answer.get("id")), response=answer.get("response"), provider_data=kept)
    return TextPart(content="", provider_data=kept) if "thoughtSignature" in kept else None


def _without_id(wire: Body) -> Body:
    return {name: value for name, value in wire.items() if name != "id"}
