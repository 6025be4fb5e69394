"""Conversations to Converse and back: nothing that the provider supports is lost, and botocore's service model accepts every body."""

from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.kinds import kind_of
from contracts.content import ChatMessageV1
from contracts.request import ChatRequestV1
from services.adapters.bedrock.answers import converse_answer
from services.adapters.bedrock.convert import converse_body
from services.adapters.protocol import Answer
from tests.corpus.converse import asked, rebuild
from tests.support.conversations import BASE64, TEXT, conversations, same

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
CLIPS = st.builds(lambda content: {"type": "blob", "modality": "video", "mime_type": "video/mp4", "content": content}, BASE64)
STORED = st.just({"type": "uri", "modality": "image", "mime_type": "image/png", "uri": "s3://bucket/cat.png"})


@settings(max_examples=60, deadline=None)
@given(conversations(st.one_of(CLIPS, STORED)))
def test_a_conversation_comes_back_from_the_wire_as_it_was(request: ChatRequestV1) -> None:
    sent = converse_body(request, MODEL, kind_of("bedrock"))
    assert sent.warnings == ()
    assert asked.accepted(sent.body) is None
    assert same(rebuild.request_of(deepcopy(sent.body), streamed=request.stream)) == same(request)


BLOCKS = st.one_of(
    st.builds(lambda text: {"text": text}, TEXT),
    st.builds(lambda text: {"reasoningContent": {"reasoningText": {"text": text, "signature": "c2ln"}}}, TEXT),
    st.just({"reasoningContent": {"redactedContent": "aGlkZGVu"}}),
    st.builds(lambda text: {"toolUse": {"toolUseId": "tooluse_1", "name": "look", "input": {"q": text}}}, TEXT),
    st.just({"toolUse": {"toolUseId": "tooluse_2", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}}),
    st.just({"toolResult": {"toolUseId": "tooluse_2", "content": [{"text": "r"}], "status": "success", "type": "nova_grounding_result"}}),
    st.builds(lambda text: {"citationsContent": {"content": [{"text": text}], "citations": [{"title": "a"}]}}, TEXT),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(BLOCKS, min_size=1, max_size=6))
def test_an_answer_goes_back_in_the_next_turn_as_it_came(blocks: list[dict[str, Any]]) -> None:
    answer = converse_answer({"output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": "end_turn"})
    assert isinstance(answer, Answer) and answer.message is not None
    stored = ChatMessageV1.model_validate_json(answer.message.model_dump_json())
    request = ChatRequestV1(messages=(ChatMessageV1(role="user", content="Q"), stored, ChatMessageV1(role="user", content="and?")))
    assert converse_body(request, MODEL, kind_of("bedrock")).body["messages"][1]["content"] == blocks
