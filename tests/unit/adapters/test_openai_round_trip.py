"""Conversations of every shape, to the chat-completions wire and back: nothing that the provider takes is lost."""

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.kinds import kind_of
from contracts.content import ChatMessageV1
from contracts.request import ChatRequestV1
from services.adapters.openai.convert import chat_body
from tests.corpus.chat_completions.rebuild import chat_of

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
ids = st.text("abcdef0123456789_", min_size=1, max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=5,
)
blobs = st.binary(min_size=1, max_size=12).map(lambda raw: base64.b64encode(raw).decode())


def part(kind: str, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    drawn = {name: value if isinstance(value, st.SearchStrategy) else st.just(value) for name, value in fields.items()}
    return st.fixed_dictionaries({"type": st.just(kind), **drawn})


text = part("text", content=words)
details = st.lists(st.fixed_dictionaries({"type": st.just("reasoning.encrypted"), "data": words, "index": st.integers(0, 3)}), min_size=1, max_size=2)
images = part("uri", modality="image", uri=ids.map("https://x/{}".format)) | part("blob", modality="image", mime_type="image/png", content=blobs)
pdfs = part("blob", modality="document", mime_type="application/pdf", content=blobs, provider_data=st.just({"filename": "a.pdf"}))
sounds = part("blob", modality="audio", mime_type="audio/wav", content=blobs)
calls = part("tool_call", id=ids, name=ids, arguments=st.dictionaries(words, values, max_size=3))
samplings = st.fixed_dictionaries(
    {}, optional={"temperature": st.just(0.5), "max_output_tokens": st.integers(1, 9), "seed": st.integers(0, 9), "stop": st.just(["x"])}
)
results = part("tool_call_response", id=ids, response=words)
thoughts = {
    "openai": None,
    "deepseek": part("reasoning", content=words),
    "mistral": part("reasoning", content=words),
    "openrouter": part("reasoning", content=words, provider_data=details.map(lambda given: {"reasoning_details": given})),
}


def turns(type_name: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    media = images if type_name == "mistral" else images | pdfs | sounds
    system = st.fixed_dictionaries({"role": st.just("system"), "parts": st.tuples(text)})
    user = st.fixed_dictionaries({"role": st.just("user"), "parts": st.lists(text | media, min_size=1, max_size=3)})
    known = thoughts[type_name]
    thought = st.just([]) if known is None else st.lists(known, max_size=1)
    said = st.lists(text, max_size=1)
    assistant = st.builds(
        lambda *groups: {"role": "assistant", "parts": [one for group in groups for one in group]}, thought, said, st.lists(calls, max_size=2)
    ).filter(lambda turn: any(one["type"] != "reasoning" for one in turn["parts"]))
    tool = st.fixed_dictionaries({"role": st.just("tool"), "parts": st.lists(results, min_size=1, max_size=2)})
    return st.lists(system | user | assistant | tool, min_size=1, max_size=5)


def flat(messages: Any) -> list[Any]:
    """Roles and parts in their order; several answers of tools in one turn are several turns on the wire."""
    found = [ChatMessageV1.model_validate(message) for message in messages]
    return [(message.role, one.model_dump(exclude_none=True)) for message in found for one in message.all_parts()]


@pytest.mark.parametrize("type_name", list(thoughts))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_conversation_comes_back_from_the_wire_as_it_was(type_name: str, data: st.DataObject) -> None:
    messages = data.draw(turns(type_name))
    tools = data.draw(st.lists(st.fixed_dictionaries({"name": ids, "description": words, "parameters": st.just({"type": "object"})}), max_size=2))
    choice = data.draw(st.sampled_from(["auto", "none", "required"]) | st.builds(lambda name: {"name": name}, ids)) if tools else None
    sampling = data.draw(samplings)
    request = ChatRequestV1.model_validate({"messages": messages, "tools": tools, "tool_choice": choice, "sampling": sampling})
    body, warnings = chat_body(request, "m", kind_of(type_name), "mine")
    del body["model"]
    back = chat_of(body, type_name)
    assert warnings == ()
    assert flat(back.messages) == flat(request.messages)
    assert (back.tools, back.tool_choice, back.sampling) == (request.tools, request.tool_choice, request.sampling)
