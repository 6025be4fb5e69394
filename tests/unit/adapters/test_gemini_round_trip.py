"""Conversations that hypothesis makes, written as Google's contents and read back: nothing is lost."""

import base64
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.kinds import kind_of
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
    UriPart,
)
from contracts.request import ChatRequestV1
from services.adapters.gemini.answers import chat_answer
from services.adapters.gemini.convert import chat_body
from services.adapters.gemini.stream import StreamedAnswer
from services.adapters.protocol import Answer

TEXT = st.text(min_size=1, max_size=20)
SIGNATURE = st.one_of(st.none(), st.binary(min_size=1, max_size=12).map(lambda raw: base64.b64encode(raw).decode()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
OBJECT = st.dictionaries(st.text(max_size=6), JSON, max_size=3)


def signed(**fields: Any) -> dict[str, Any]:
    kept = {"thoughtSignature": fields.pop("signature")} if fields.get("signature") else {}
    fields.pop("signature", None)
    return {**fields, "provider_data": {**(fields.pop("provider_data", None) or {}), **kept} or None}


MODEL_PARTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(lambda text, signature: TextPart(**signed(content=text, signature=signature)), TEXT, SIGNATURE),
    st.builds(lambda text, signature: ReasoningPart(content=text, signature=signature, provider_data={"thought": True}), TEXT, SIGNATURE),
    st.builds(lambda name, args, signature: ToolCallPart(**signed(id="filled in", name=name, arguments=args, signature=signature)), TEXT, OBJECT, SIGNATURE),
    st.builds(lambda signature: BlobPart(**signed(modality="image", mime_type="image/png", content="AAAA", signature=signature)), SIGNATURE),
    st.builds(
        lambda code: ServerToolCallPart(
            name="code_execution", arguments={"language": "PYTHON", "code": code}, provider_data={"executableCode": {"language": "PYTHON", "code": code}}
        ),
        TEXT,
    ),
    st.builds(
        lambda output: ServerToolCallResponsePart(
            response={"outcome": "OUTCOME_OK", "output": output}, provider_data={"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": output}}
        ),
        TEXT,
    ),
)
USER_PARTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(TextPart, content=TEXT),
    st.just(BlobPart(modality="document", mime_type="application/pdf", content="BBBB")),
    st.just(UriPart(modality="image", mime_type="image/png", uri="https://x/y.png")),
)


@st.composite
def conversations(draw: st.DrawFn) -> list[ChatMessageV1]:
    """System messages, then turns; each call has an id of its own and an answer."""
    messages = [ChatMessageV1(role="system", content=text) for text in draw(st.lists(TEXT, max_size=3))]
    calls = 0
    for _ in range(draw(st.integers(1, 3))):
        messages.append(ChatMessageV1(role="user", parts=tuple(draw(st.lists(USER_PARTS, min_size=1, max_size=3)))))
        parts = []
        for part in draw(st.lists(MODEL_PARTS, min_size=1, max_size=5)):
            if isinstance(part, ToolCallPart):
                part, calls = part.model_copy(update={"id": f"id-{calls}"}), calls + 1
            parts.append(part)
        messages.append(ChatMessageV1(role="assistant", parts=tuple(parts)))
        answers = tuple(ToolCallResponsePart(id=part.id, response=draw(OBJECT)) for part in parts if isinstance(part, ToolCallPart))
        if answers:
            messages.append(ChatMessageV1(role="tool", parts=answers))
    return messages


def read_user(wire: dict[str, Any]) -> Part:
    """The contract's part in a part of a user's turn, read by this test's own rules."""
    match wire:
        case {"text": text}:
            return TextPart(content=text)
        case {"inlineData": media}:
            return BlobPart(modality="document", mime_type=media["mimeType"], content=media["data"])
        case {"fileData": media}:
            return UriPart(modality="image", mime_type=media["mimeType"], uri=media["fileUri"])
        case _:
            return ToolCallResponsePart(id=wire["functionResponse"]["id"], response=wire["functionResponse"]["response"])


def read_model(content: dict[str, Any]) -> tuple[Part, ...]:
    outcome = chat_answer({"candidates": [{"content": content, "finishReason": "STOP"}]})
    assert isinstance(outcome, Answer) and outcome.message is not None
    return outcome.message.all_parts()


@settings(max_examples=150, deadline=None)
@given(conversations())
def test_a_conversation_comes_back_as_it_was_written(messages: list[ChatMessageV1]) -> None:
    body, warnings = chat_body(ChatRequestV1(messages=tuple(messages)), "gemini-2.5-pro", kind_of("gemini"))
    assert not warnings
    systems = [part["text"] for part in body.get("systemInstruction", {}).get("parts", ())]
    turns = [read_model(content) if content["role"] == "model" else tuple(map(read_user, content["parts"])) for content in body["contents"]]
    assert systems == [message.content for message in messages if message.role == "system"]
    assert turns == [message.all_parts() for message in messages if message.role != "system"]


@settings(max_examples=100, deadline=None)
@given(st.lists(MODEL_PARTS, min_size=1, max_size=6))
def test_an_answer_goes_back_as_it_came_whole_or_streamed(parts: list[Part]) -> None:
    numbered = [part.model_copy(update={"id": f"id-{at}"}) if isinstance(part, ToolCallPart) else part for at, part in enumerate(parts)]
    asked = ChatRequestV1(messages=(ChatMessageV1(role="user", content="x"), ChatMessageV1(role="assistant", parts=tuple(numbered))))
    wire = chat_body(asked, "gemini-2.5-pro", kind_of("gemini"))[0]["contents"][1]
    stream = StreamedAnswer()
    for part in wire["parts"]:
        stream.take({"candidates": [{"content": {"parts": [part]}}]})
    stream.take({"candidates": [{"finishReason": "STOP"}]})
    for outcome in (chat_answer({"candidates": [{"content": wire, "finishReason": "STOP"}]}), stream.result()):
        assert isinstance(outcome, Answer) and outcome.message is not None
        back = chat_body(ChatRequestV1(messages=(asked.messages[0], outcome.message)), "gemini-2.5-pro", kind_of("gemini"))[0]["contents"][1]
        assert joined(back["parts"]) == joined(wire["parts"])


def joined(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A stream joins texts that are neighbours and bear no signature: it cannot tell that they were two."""
    whole: list[dict[str, Any]] = []
    for part in parts:
        before = whole[-1] if whole else {}
        if "text" in part and "text" in before and not {"thoughtSignature"} & {*part, *before} and part.get("thought") == before.get("thought"):
            before["text"] += part["text"]
        else:
            whole.append(dict(part))
    return whole
