"""Conversations made by hypothesis: systems, texts, images, documents, reasoning, parallel tool calls and their results, in turns that alternate."""

import base64
from typing import Any

from hypothesis import strategies as st

from contracts.request import ChatRequestV1

Part = dict[str, Any]
TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
NAME = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
BASE64 = st.binary(min_size=1, max_size=12).map(lambda raw: base64.b64encode(raw).decode())
ARGUMENTS = st.dictionaries(NAME, st.one_of(TEXT, st.integers(-(2**50), 2**50), st.booleans(), st.none(), st.lists(TEXT, max_size=2)), max_size=3)
TEXTS = st.builds(lambda text: {"type": "text", "content": text}, TEXT)
IMAGES = st.builds(lambda content: {"type": "blob", "modality": "image", "mime_type": "image/png", "content": content}, BASE64)
PDFS = st.builds(lambda content: {"type": "blob", "modality": "document", "mime_type": "application/pdf", "content": content}, BASE64)
THOUGHTS = st.builds(lambda text, signature: {"type": "reasoning", "content": text, "signature": signature}, TEXT, BASE64)
HIDDEN = st.builds(lambda data: {"type": "reasoning", "encrypted": data}, BASE64)


@st.composite
def conversations(draw: st.DrawFn, media: st.SearchStrategy[Part]) -> ChatRequestV1:
    """`media`: further parts that a user's turn and a tool's result may hold."""
    shown = st.one_of(TEXTS, IMAGES, PDFS, media)
    messages: list[dict[str, Any]] = [{"role": "system", "content": text} for text in draw(st.lists(TEXT, max_size=3))]
    for number in range(draw(st.integers(1, 3))):
        messages.append({"role": "user", "parts": draw(st.lists(shown, min_size=1, max_size=3))})
        thought = draw(st.lists(st.one_of(THOUGHTS, HIDDEN), max_size=2))
        calls: list[Part] = [
            {"type": "tool_call", "id": f"call_{number}_{at}", "name": name, "arguments": draw(ARGUMENTS)}
            for at, name in enumerate(draw(st.lists(NAME, max_size=3)))
        ]
        messages.append({"role": "assistant", "parts": [*thought, *draw(st.lists(TEXTS, min_size=1, max_size=2)), *calls]})
        if calls:
            messages.append({"role": "tool", "parts": [_result(draw, call["id"], shown) for call in calls]})
            messages.append({"role": "assistant", "parts": [draw(TEXTS)]})
    tools = [{"name": name, "description": draw(TEXT), "parameters": {"type": "object", "properties": {}}} for name in draw(st.sets(NAME, max_size=3))]
    request: dict[str, Any] = {"messages": messages, "tools": tools, "stream": draw(st.booleans())}
    request["sampling"] = {"max_output_tokens": draw(st.integers(1, 4096)), "temperature": draw(st.none() | st.sampled_from([0.0, 0.5, 1.0]))}
    if tools:
        request["tool_choice"] = draw(st.sampled_from(["auto", "required", {"name": tools[0]["name"]}]))
    return ChatRequestV1.model_validate(request)


def _result(draw: st.DrawFn, call_id: str, shown: st.SearchStrategy[Part]) -> Part:
    response = draw(st.one_of(TEXT, st.lists(shown, min_size=2, max_size=3)))
    return {"type": "tool_call_response", "id": call_id, "response": response, "is_error": draw(st.booleans())}


def same(request: ChatRequestV1) -> dict[str, Any]:
    """What a request says, whichever way its turns were written: systems as one list of texts, parts without nulls."""
    systems = [part for turn in request.messages if turn.role == "system" for part in _parts(turn.all_parts())]
    turns = [(turn.role, _parts(turn.all_parts())) for turn in request.messages if turn.role != "system"]
    rest = request.model_dump(mode="json", include={"tools", "tool_choice", "stream", "sampling", "output"})
    return {"systems": systems, "turns": turns, **rest}


def _parts(parts: Any) -> list[Part]:
    return [_part(part.model_dump(mode="json")) for part in parts]


def _part(part: Part) -> Part:
    """Names of documents are made where there is none."""
    kept = {name: value for name, value in part.items() if value is not None and name != "provider_data"}
    if isinstance(kept.get("response"), list):
        kept["response"] = [_part(item) for item in kept["response"]]
    return kept
