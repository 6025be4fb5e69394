"""What stands in an answer beside its text: reasoning to send back, sources, speech, the provider's own tools. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic_core import from_json

from contracts.content import ReasoningPart, ServerToolCallPart, ServerToolCallResponsePart

from ..reading import text_or_none

OF_MESSAGE = ("annotations", "audio", "context")
"""`context` holds the sources of Azure's own data."""
OF_BODY = ("citations", "search_results")
"""Perplexity's sources."""
GROWING = ("text", "summary", "data")
"""The fields of a reasoning detail that a stream sends piece by piece."""


def notes_of(message: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Sources and speech, as the provider words them; kept in the `provider_data` of the text."""
    found = {name: message.get(name) for name in OF_MESSAGE} | {name: body.get(name) for name in OF_BODY}
    return {name: value for name, value in found.items() if value and isinstance(value, list | dict)}


def add_notes(notes: dict[str, Any], more: Mapping[str, Any]) -> None:
    """The notes of one more chunk: annotations come one after another, speech in pieces, sources whole each time."""
    for name, value in more.items():
        before = notes.get(name)
        if name == "annotations" and isinstance(before, list) and isinstance(value, list):
            notes[name] = [*before, *value]
        elif name == "audio" and isinstance(before, dict) and isinstance(value, dict):
            grown = {field: before[field] + value[field] for field in ("data", "transcript") if _texts(before.get(field), value.get(field))}
            notes[name] = {**before, **value, **grown}
        else:
            notes[name] = value


def transcript_of(notes: Mapping[str, Any]) -> str:
    """The words of a spoken answer."""
    audio = notes.get("audio")
    return text_or_none(audio.get("transcript")) or "" if isinstance(audio, dict) else ""


def _texts(*values: Any) -> bool:
    return all(isinstance(value, str) for value in values)


def details_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """OpenRouter's `reasoning_details`: https://openrouter.ai/docs/use-cases/reasoning-tokens; to be sent back as they came."""
    details = message.get("reasoning_details")
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def add_details(details: list[dict[str, Any]], more: Iterable[Mapping[str, Any]]) -> None:
    """The details of one more chunk: a piece belongs to the last detail where index and type are the same."""
    for piece in more:
        last = details[-1] if details else {}
        if last and (last.get("index"), last.get("type")) == (piece.get("index"), piece.get("type")):
            grown = {name: last[name] + piece[name] for name in GROWING if _texts(last.get(name), piece.get(name))}
            details[-1] = {**last, **{name: value for name, value in piece.items() if value is not None}, **grown}
        else:
            details.append(dict(piece))


def reasoning_part(text: str, details: list[dict[str, Any]]) -> ReasoningPart | None:
    """What the model thought; None where it does not say."""
    if not text and not details:
        return None
    signatures = [value for detail in details if (value := text_or_none(detail.get("signature")))]
    sealed = [value for detail in details if detail.get("type") == "reasoning.encrypted" and (value := text_or_none(detail.get("data")))]
    return ReasoningPart(
        content=text or None,
        signature=signatures[-1] if signatures else None,
        encrypted=sealed[-1] if sealed else None,
        provider_data={"reasoning_details": details} if details else None,
    )


def thought_in(details: Iterable[Mapping[str, Any]]) -> str:
    """The words in the details, for servers that do not repeat them in a field of their own."""
    return "".join(text_or_none(detail.get("text")) or text_or_none(detail.get("summary")) or "" for detail in details)


def executed_in(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The tools that Groq ran itself: https://console.groq.com/docs/compound."""
    tools = message.get("executed_tools")
    yield from (tool for tool in tools if isinstance(tool, dict)) if isinstance(tools, list) else ()


def server_call(tool: Mapping[str, Any]) -> ServerToolCallPart:
    written = tool.get("arguments")
    try:
        arguments = from_json(written) if isinstance(written, str) else written
    except ValueError:
        arguments = written
    return ServerToolCallPart(id=_place(tool), name=text_or_none(tool.get("name")) or text_or_none(tool.get("type")) or "", arguments=arguments)


def server_answer(tool: Mapping[str, Any]) -> ServerToolCallResponsePart | None:
    """What the tool gave; None until it has."""
    given = {name: value for name, value in tool.items() if name not in ("arguments", "index", "type", "name") and value not in (None, "", [])}
    if not given:
        return None
    return ServerToolCallResponsePart(id=_place(tool), response=given.pop("output", None), provider_data=given or None)


def _place(tool: Mapping[str, Any]) -> str | None:
    index = tool.get("index")
    return f"executed_{index}" if isinstance(index, int) else None
