"""`[CACHE_BREAKPOINT]` in a text: everything before it is stable. Taken out of the text; the part before carries the marker. Pure."""

from collections.abc import Mapping
from typing import Any

from contracts.content import BlobPart, ChatMessageV1, FilePart, Part, TextPart, UriPart
from contracts.request import ChatRequestV1

MARK = "[CACHE_BREAKPOINT]"


class Manual(dict[str, Any]):
    """A marker asked for by MARK, told by its class from one that stands in a request's own `provider_data`."""


def without_marks(request: ChatRequestV1, mark: Mapping[str, Any] | None) -> ChatRequestV1:
    """The request with no MARK in it. `mark`: what goes into `provider_data` of the part before; None: the provider takes no marks."""
    if not any(MARK in part.content for message in request.messages for part in message.all_parts() if isinstance(part, TextPart)):
        return request
    messages = [_plain(message) for message in request.messages] if mark is None else _marked(request.messages, mark)
    return request.model_copy(update={"messages": tuple(messages)})


def _plain(message: ChatMessageV1) -> ChatMessageV1:
    if message.content is not None:
        return message.model_copy(update={"content": message.content.replace(MARK, "")})
    parts = [part.model_copy(update={"content": part.content.replace(MARK, "")}) if isinstance(part, TextPart) else part for part in message.all_parts()]
    return message.model_copy(update={"parts": tuple(parts)})


def _marked(messages: tuple[ChatMessageV1, ...], mark: Mapping[str, Any]) -> list[ChatMessageV1]:
    """Texts are cut at their marks; what stands before a mark, in this message or an earlier one, is marked."""
    turns: list[list[Part]] = []
    for message in messages:
        turns.append([])
        for part in message.all_parts():
            pieces = part.content.split(MARK) if isinstance(part, TextPart) else []
            if len(pieces) < 2:
                turns[-1].append(part)
                continue
            for at, piece in enumerate(pieces):
                if piece.strip():
                    turns[-1].append(part.model_copy(update={"content": piece}))
                if at < len(pieces) - 1:
                    _mark_last(turns, mark)
    return [_changed(message, tuple(parts)) for message, parts in zip(messages, turns, strict=True)]


def _changed(message: ChatMessageV1, parts: tuple[Part, ...]) -> ChatMessageV1:
    return message if message.all_parts() == parts else message.model_copy(update={"content": None, "parts": parts})


def _mark_last(turns: list[list[Part]], mark: Mapping[str, Any]) -> None:
    for parts in reversed(turns):
        for at in reversed(range(len(parts))):
            part = parts[at]
            if isinstance(part, BlobPart | UriPart | FilePart) or (isinstance(part, TextPart) and part.content.strip()):
                given = part.provider_data or {}
                added = {name: Manual(value) for name, value in mark.items() if name not in given}
                parts[at] = part.model_copy(update={"provider_data": {**given, **added}})
                return
