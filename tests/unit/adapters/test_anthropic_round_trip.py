"""Conversations to the Messages API and back: nothing that the provider supports is lost, and its SDK's types accept every body."""

from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.kinds import kind_of
from contracts.content import ChatMessageV1
from contracts.request import ChatRequestV1
from services.adapters.anthropic.answers import chat_answer
from services.adapters.anthropic.convert import chat_body
from services.adapters.protocol import Answer
from tests.corpus.messages import asked, rebuild
from tests.support.conversations import TEXT, conversations, same

KIND = kind_of("anthropic")
MODEL = "claude-sonnet-4-5"
URLS = st.sampled_from(["https://a.test/cat.png", "https://a.test/dog.jpg"]).map(lambda uri: {"type": "uri", "modality": "image", "uri": uri})
FILES = st.builds(lambda name: {"type": "file", "modality": "document", "file_id": f"file_{name}"}, st.integers(1, 99))


@settings(max_examples=60, deadline=None)
@given(conversations(st.one_of(URLS, FILES)))
def test_a_conversation_comes_back_from_the_wire_as_it_was(request: ChatRequestV1) -> None:
    sent = chat_body(request, MODEL, KIND)
    assert sent.warnings == ()
    assert asked.accepted(sent.body) is None
    body = deepcopy(sent.body)
    del body["model"]
    assert same(rebuild.request_of(body, "anthropic", {})) == same(request)


SERVER = {
    "type": "web_search_tool_result",
    "tool_use_id": "srv_1",
    "content": [{"type": "web_search_result", "url": "https://a.test", "title": "A", "encrypted_content": "x="}],
}
BLOCKS = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, TEXT),
    st.builds(lambda text: {"type": "text", "text": text, "citations": [{"type": "char_location", "cited_text": text, "document_index": 0}]}, TEXT),
    st.builds(lambda text: {"type": "thinking", "thinking": text, "signature": "c2ln"}, TEXT),
    st.just({"type": "redacted_thinking", "data": "aGlkZGVu"}),
    st.builds(lambda text: {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"q": text}}, TEXT),
    st.just({"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}, "caller": {"type": "code_execution_20260120", "tool_id": "srv_9"}}),
    st.just({"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "a"}}),
    st.just(SERVER),
    st.just({"type": "mcp_tool_use", "id": "mcp_1", "name": "ask", "server_name": "wiki", "input": {}}),
    st.just({"type": "compaction", "content": "so far"}),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(BLOCKS, min_size=1, max_size=6))
def test_an_answer_goes_back_in_the_next_turn_as_it_came(blocks: list[dict[str, Any]]) -> None:
    answer = chat_answer({"content": blocks, "stop_reason": "end_turn"})
    assert isinstance(answer, Answer) and answer.message is not None
    stored = ChatMessageV1.model_validate_json(answer.message.model_dump_json())
    request = ChatRequestV1(messages=(ChatMessageV1(role="user", content="Q"), stored, ChatMessageV1(role="user", content="and?")))
    content = chat_body(request, MODEL, KIND).body["messages"][1]["content"]
    assert ([{"type": "text", "text": content}] if isinstance(content, str) else content) == blocks
