"""Conversations that hypothesis makes, written as Cohere's messages and read back: nothing is lost."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.kinds import kind_of
from contracts.content import BlobPart, ChatMessageV1, Part, ReasoningPart, TextPart, ToolCallPart, ToolCallResponsePart, UriPart
from contracts.request import ChatRequestV1
from services.adapters.cohere.answers import chat_answer
from services.adapters.cohere.convert import chat_body
from services.adapters.protocol import Answer

TEXT = st.text(min_size=1, max_size=20)
OBJECT = st.dictionaries(st.text(max_size=6), st.integers() | st.text(max_size=6) | st.none(), max_size=3)
USER_PARTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(TextPart, content=TEXT),
    st.just(BlobPart(modality="image", mime_type="image/png", content="AAAA")),
    st.just(UriPart(modality="image", uri="https://x/y.png")),
)


@st.composite
def conversations(draw: st.DrawFn) -> list[ChatMessageV1]:
    """System messages, then turns in the order in which Cohere has parts: plan, thinking and text, calls; each call with its answer."""
    messages = [ChatMessageV1(role="system", content=text) for text in draw(st.lists(TEXT, max_size=3))]
    for turn in range(draw(st.integers(1, 3))):
        messages.append(ChatMessageV1(role="user", parts=tuple(draw(st.lists(USER_PARTS, min_size=1, max_size=3)))))
        plan = [ReasoningPart(content=text, provider_data={"tool_plan": True}) for text in draw(st.lists(TEXT, max_size=1))]
        said: list[Part] = draw(st.lists(st.builds(TextPart, content=TEXT) | st.builds(ReasoningPart, content=TEXT), max_size=2))
        calls = [ToolCallPart(id=f"{turn}-{at}", name="f", arguments=args) for at, args in enumerate(draw(st.lists(OBJECT, min_size=1, max_size=2)))]
        messages.append(ChatMessageV1(role="assistant", parts=(*plan, *said, *calls)))
        messages += [ChatMessageV1(role="tool", parts=(ToolCallResponsePart(id=call.id, response=draw(TEXT)),)) for call in calls]
    return messages


def read(wire: dict[str, Any]) -> ChatMessageV1:
    """A message of the wire in the contract's words; the model's by the adapter, all others by this test's own rules."""
    if wire["role"] == "assistant":
        outcome = chat_answer({"message": wire})
        assert isinstance(outcome, Answer) and outcome.message is not None
        return outcome.message
    if wire["role"] == "tool":
        return ChatMessageV1(role="tool", parts=(ToolCallResponsePart(id=wire["tool_call_id"], response=wire["content"]),))
    content = wire["content"]
    return ChatMessageV1.model_validate({"role": wire["role"], "parts": tuple(map(block, [content] if isinstance(content, str) else content))})


def block(wire: Any) -> Part:
    match wire:
        case {"image_url": {"url": url}} if url.startswith("data:"):
            return BlobPart(modality="image", mime_type="image/png", content=url.rpartition(",")[2])
        case {"image_url": {"url": url}}:
            return UriPart(modality="image", uri=url)
        case {"text": text}:
            return TextPart(content=text)
        case _:
            return TextPart(content=wire)


@settings(max_examples=150, deadline=None)
@given(conversations())
def test_a_conversation_comes_back_as_it_was_written(messages: list[ChatMessageV1]) -> None:
    body, warnings = chat_body(ChatRequestV1(messages=tuple(messages)), "command-a", kind_of("cohere"))
    assert not warnings
    wire = json.loads(json.dumps(body["messages"]))
    assert [(read(one).role, read(one).all_parts()) for one in wire] == [(message.role, message.all_parts()) for message in messages]
