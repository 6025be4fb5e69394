"""One output item as parts of our message. Pure.

A part's `provider_data` keeps under ITEM what of its item is not in the part itself, so that the next turn can send the item back:
of messages, reasoning and calls the fields beside the content; of the provider's own tools the whole item.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import from_json

from contracts.content import BlobPart, Part, ReasoningPart, ServerToolCallPart, ServerToolCallResponsePart, TextPart, ToolCallPart

from ..protocol import Body
from ..reading import text_or_none, tool_call_part

ITEM = "openai_item"
RESULT = "openai_result"
"""Under it stands where the part belongs: the item's `id` and the `field` that the part was taken from."""
BLOCK = "openai_block"
"""Under it stands a block of a message that our contract has no part for."""
BY = "openai_by"
"""Under it stands the type of the provider that gave the part: another knows neither its ids nor what it encrypted."""
Key = tuple[str, int]
"""Which piece of its item a part is: the list it stands in, and where."""
CALLS = frozenset({"function_call", "custom_tool_call"})
RESULTS = {"code_interpreter_call": ("outputs",), "file_search_call": ("results",), "mcp_call": ("output", "error"), "image_generation_call": ("result",)}
"""Where the items of the provider's own tools hold what the tool gave."""
GIVEN = ("action", "arguments", "code", "queries", "input", "operation")
"""Where they hold what the tool was asked."""
ANSWERS = ("_output", "_response", "compaction", "additional_tools")
"""How the types of items end that call nothing."""


def type_of(item: Mapping[str, Any]) -> str:
    return text_or_none(item.get("type")) or ""


def parts_of(item: Mapping[str, Any], at: int, by: str | None = None, *, structured: bool = False) -> list[tuple[Key, Part]]:
    """The parts of one item; `at` is its place in the output, `by` the type of the provider that gave it.

    `structured`: the answer is JSON; what the model says beside it on its way there is reasoning, else nobody could read the JSON.
    """
    mark = {BY: by} if by is not None else {}
    found = _parts(item, at)
    if structured and is_aside(item):
        found = [(key, ReasoningPart(content=part.content, provider_data=part.provider_data) if isinstance(part, TextPart) else part) for key, part in found]
    return [(key, part.model_copy(update={"provider_data": {**(part.provider_data or {}), **mark}})) for key, part in found]


def is_aside(item: Mapping[str, Any]) -> bool:
    """A message between tool calls, as the provider marks it: not the answer."""
    return item.get("type") == "message" and item.get("phase") == "commentary"


def _parts(item: Mapping[str, Any], at: int) -> list[tuple[Key, Part]]:
    kind = type_of(item)
    if kind == "message":
        return [(("content", place), _said(block, item)) for place, block in enumerate(_dicts(item.get("content")))]
    if kind == "reasoning":
        return _thought(item)
    if kind in CALLS:
        return [(("call", 0), called(item, at))]
    return _server(item, kind)


def _said(block: Body, item: Mapping[str, Any]) -> TextPart:
    own: dict[str, Any] = {ITEM: _less(item, "content", "role")}
    if block.get("type") == "refusal":
        return TextPart(content=text_or_none(block.get("refusal")) or "", provider_data={**own, "refusal": True})
    if block.get("type") != "output_text":
        return TextPart(content=text_or_none(block.get("text")) or "", provider_data={**own, BLOCK: block})
    beside = {name: block[name] for name in ("annotations", "logprobs") if block.get(name)}
    return TextPart(content=text_or_none(block.get("text")) or "", provider_data={**own, **beside})


def _thought(item: Mapping[str, Any]) -> list[tuple[Key, Part]]:
    """One part for each summary and each text; what is encrypted goes with the first."""
    own, sealed = _less(item, "summary", "content", "encrypted_content"), text_or_none(item.get("encrypted_content"))
    found: list[tuple[Key, str | None]] = [
        ((name, place), block["text"])
        for name in ("summary", "content")
        for place, block in enumerate(_dicts(item.get(name)))
        if isinstance(block.get("text"), str)
    ]
    return [
        (key, ReasoningPart(content=text, encrypted=None if number else sealed, provider_data={ITEM: own, **({"raw": True} if key[0] == "content" else {})}))
        for number, (key, text) in enumerate(found or [(("summary", 0), None)])
    ]


def called(item: Mapping[str, Any], at: int) -> ToolCallPart:
    """A custom tool's input is free text, whatever it looks like."""
    custom, written = item.get("type") == "custom_tool_call", written_in(item)
    part = tool_call_part(item.get("call_id") or item.get("id"), at, item.get("name"), {} if custom else written)
    kept = {"custom": True, "raw_arguments": written} if custom else part.provider_data or {}
    return part.model_copy(update={"provider_data": {**kept, ITEM: _less(item, "call_id", "name", "arguments", "input")}})


def written_in(item: Mapping[str, Any]) -> Any:
    """What a function or a custom tool was called with, as the model wrote it."""
    return item.get("input") if item.get("type") == "custom_tool_call" else item.get("arguments")


def _server(item: Mapping[str, Any], kind: str) -> list[tuple[Key, Part]]:
    """An item of the provider's own tools; what the tool gave is a part of its own."""
    known = text_or_none(item.get("call_id")) or text_or_none(item.get("id"))
    if kind.endswith(ANSWERS):
        given = next((item[name] for name in ("output", "result", "tools", "approve") if name in item), None)
        return [(("call", 0), ServerToolCallResponsePart(id=known, response=given, provider_data={ITEM: dict(item)}))]
    field = next((name for name in RESULTS.get(kind, ()) if item.get(name)), None)
    call = ServerToolCallPart(
        id=known,
        name=text_or_none(item.get("name")) or kind.removesuffix("_call"),
        arguments=_asked(item),
        provider_data={ITEM: dict(item) if field is None else {**item, field: None}},
    )
    return [(("call", 0), call), *([(("result", 0), _given(item, field, known))] if field is not None else [])]


def _asked(item: Mapping[str, Any]) -> Any:
    given = next((item[name] for name in GIVEN if item.get(name) is not None), None)
    if item.get("type") in ("mcp_call", "mcp_approval_request") and isinstance(given, str):
        try:
            return from_json(given, allow_inf_nan=False)
        except ValueError:
            return given
    return given


def _given(item: Mapping[str, Any], field: str, known: str | None) -> Part:
    value, place = item[field], {RESULT: {"id": item.get("id"), "field": field}}
    if item.get("type") == "image_generation_call" and isinstance(value, str):
        return BlobPart(modality="image", mime_type=f"image/{text_or_none(item.get('output_format')) or 'png'}", content=value, provider_data=place)
    return ServerToolCallResponsePart(id=known, response=value, provider_data=place)


def _less(item: Mapping[str, Any], *names: str) -> Body:
    return {name: value for name, value in item.items() if name not in names and value not in (None, "")}


def _dicts(value: Any) -> Iterable[Body]:
    return [inner for inner in value if isinstance(inner, dict)] if isinstance(value, list) else []
