"""Conversations that hypothesis makes, written as Responses items and read back: nothing is lost; and whatever JSON comes, no exception."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from catalog.kinds import kind_of
from contracts.content import BlobPart, ChatMessageV1, FilePart, Part, TextPart, ToolCallPart, ToolCallResponsePart, UriPart
from contracts.request import ChatRequestV1
from services.adapters.openai_responses.answers import chat_answer
from services.adapters.openai_responses.convert import chat_body
from services.adapters.openai_responses.stream import StreamedResponse
from services.adapters.protocol import Answer, Event, Failure

TEXT = st.text(min_size=1, max_size=20)
OBJECT = st.dictionaries(st.text(max_size=6), st.integers() | st.text(max_size=6) | st.none(), max_size=3)
USER_PARTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(TextPart, content=TEXT),
    st.just(BlobPart(modality="image", mime_type="image/png", content="AAAA")),
    st.just(BlobPart(modality="document", mime_type="application/pdf", content="AAAA")),
    st.just(UriPart(modality="image", uri="https://x/y.png")),
    st.just(UriPart(modality="document", uri="https://x/y.pdf")),
    st.just(FilePart(modality="document", file_id="file-1")),
)
STATUS = st.just("completed")


def block(kind: str) -> Any:
    return st.fixed_dictionaries({"type": st.just(kind), "text": TEXT})


STRANGE = st.fixed_dictionaries({"type": st.just("output_audio"), "data": TEXT})
SPOKEN = st.fixed_dictionaries(
    {"type": st.just("output_text"), "text": st.text(max_size=20), "annotations": st.lists(OBJECT.filter(bool), max_size=1)},
    optional={"logprobs": st.lists(OBJECT.filter(bool), min_size=1, max_size=1)},
)
REFUSED = st.fixed_dictionaries({"type": st.just("refusal"), "refusal": TEXT})
MESSAGE = {"type": st.just("message"), "role": st.just("assistant"), "status": STATUS, "content": st.lists(SPOKEN | REFUSED | STRANGE, min_size=1, max_size=3)}
CALL = {"type": st.just("function_call"), "name": TEXT, "arguments": OBJECT.map(lambda given: to_json(given).decode())}
CUSTOM = {"type": st.just("custom_tool_call"), "name": TEXT, "input": TEXT}
CODE = {"type": st.just("code_interpreter_call"), "code": TEXT, "outputs": st.lists(OBJECT.filter(bool), min_size=1, max_size=2), "status": STATUS}
IMAGE = {"type": st.just("image_generation_call"), "status": STATUS, "result": st.just("AAAA")}
SEARCH = {"type": st.just("web_search_call"), "status": STATUS, "action": OBJECT}
SUMMARIES = st.lists(block("summary_text"), max_size=2)
ITEMS = st.one_of(
    st.fixed_dictionaries(MESSAGE, optional={"phase": st.sampled_from(["commentary", "final_answer"])}),
    st.fixed_dictionaries(
        {"type": st.just("reasoning"), "summary": SUMMARIES, "encrypted_content": TEXT},
        optional={"content": st.lists(block("reasoning_text"), min_size=1, max_size=2)},
    ),
    st.fixed_dictionaries(CALL, optional={"namespace": TEXT}),
    *(st.fixed_dictionaries(fields) for fields in (CUSTOM, CODE, IMAGE, SEARCH)),
)


@st.composite
def conversations(draw: st.DrawFn) -> list[ChatMessageV1]:
    """System messages anywhere, turns of the user's, answers as the API gives them, each call with its answer."""
    messages: list[ChatMessageV1] = []
    for turn in range(draw(st.integers(1, 3))):
        messages += [ChatMessageV1(role="system", content=text) for text in draw(st.lists(TEXT, max_size=2))]
        messages.append(ChatMessageV1(role="user", parts=tuple(draw(st.lists(USER_PARTS, min_size=1, max_size=3)))))
        output = [numbered(item, turn, at) for at, item in enumerate([*draw(st.lists(ITEMS, min_size=1, max_size=5)), draw(st.fixed_dictionaries(MESSAGE))])]
        answer = read_answer(output)
        messages.append(answer)
        calls = [part for part in answer.all_parts() if isinstance(part, ToolCallPart)]
        if calls:
            messages.append(ChatMessageV1(role="tool", parts=tuple(ToolCallResponsePart(id=call.id, response=draw(st.text(max_size=9))) for call in calls)))
    return messages


def numbered(item: dict[str, Any], turn: int, at: int) -> dict[str, Any]:
    called = {"call_id": f"call_{turn}_{at}"} if item["type"] in ("function_call", "custom_tool_call") else {}
    return {"id": f"{item['type']}_{turn}_{at}", **item, **called}


def read_answer(output: list[dict[str, Any]]) -> ChatMessageV1:
    outcome = chat_answer({"status": "completed", "output": output})
    assert isinstance(outcome, Answer) and outcome.message is not None
    return outcome.message


def read(items: list[dict[str, Any]]) -> list[tuple[str, tuple[Part, ...]]]:
    """Items in the contract's words; the model's by the adapter, all others by this test's own rules."""
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for item in items:
        role = item.get("role") or ("tool" if item["type"].endswith("_output") else "assistant")
        if not turns or turns[-1][0] != role or role in ("user", "system"):
            turns.append((role, []))
        turns[-1][1].append(item)
    return [(role, read_answer(found).all_parts() if role == "assistant" else tuple(part for item in found for part in asked(item))) for role, found in turns]


def asked(item: dict[str, Any]) -> list[Part]:
    if "call_id" in item:
        return [ToolCallResponsePart(id=item["call_id"], response=item["output"])]
    content = item["content"]
    return [part_of(one) for one in ([{"text": content}] if isinstance(content, str) else content)]


def part_of(wire: dict[str, Any]) -> Part:
    match wire:
        case {"image_url": url} if url.startswith("data:"):
            return BlobPart(modality="image", mime_type="image/png", content=url.rpartition(",")[2])
        case {"image_url": url}:
            return UriPart(modality="image", uri=url)
        case {"file_data": url}:
            return BlobPart(modality="document", mime_type="application/pdf", content=url.rpartition(",")[2])
        case {"file_url": url}:
            return UriPart(modality="document", uri=url)
        case {"file_id": file_id}:
            return FilePart(modality="document", file_id=file_id)
        case _:
            return TextPart(content=wire["text"])


@settings(max_examples=100, deadline=None)
@given(conversations())
def test_a_conversation_comes_back_as_it_was_written(messages: list[ChatMessageV1]) -> None:
    body, warnings = chat_body(ChatRequestV1(messages=tuple(messages)), "gpt-5", kind_of("openai_responses"))
    assert not warnings
    wire = json.loads(json.dumps(body["input"]))
    assert read(wire) == [(message.role, message.all_parts()) for message in messages]


@settings(max_examples=100, deadline=None)
@given(st.lists(ITEMS, min_size=1, max_size=5))
def test_an_answer_is_sent_back_item_by_item_as_it_came(output: list[dict[str, Any]]) -> None:
    output = [numbered(item, 0, at) for at, item in enumerate(output)] + [{"type": "web_search_call", "id": "last"}]
    body, _ = chat_body(ChatRequestV1(messages=(read_answer(output),)), "gpt-5", kind_of("openai_responses"))
    assert body["input"] == output


KINDS = st.sampled_from(
    [
        *("message", "reasoning", "function_call", "custom_tool_call", "mcp_call", "image_generation_call", "compaction", "code_interpreter_call", "error"),
        *("response.completed", "response.failed", "response.output_item.added", "response.output_item.done", "response.output_text.delta"),
        *("response.reasoning_summary_text.delta", "response.function_call_arguments.delta", "response.refusal.delta", "output_text", "refusal"),
    ]
)
NAMES = st.sampled_from(
    [
        *("type", "id", "item", "item_id", "output", "output_index", "content", "content_index", "summary", "summary_index", "delta", "text", "refusal"),
        *("response", "status", "error", "code", "message", "usage", "input_tokens", "input_tokens_details", "arguments", "input", "call_id", "name", "result"),
        *("outputs", "results", "encrypted_content", "annotations", "incomplete_details", "reason", "cost", "output_format", "model"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6) | KINDS | st.sampled_from(["failed", "queued", "{}"])
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=25)
ANY_ITEM = st.fixed_dictionaries({"type": KINDS}, optional=dict.fromkeys(("id", "content", "summary", "arguments", "name", "result", "outputs"), JSON))
ANY_RESPONSE = JSON | st.fixed_dictionaries({"output": st.lists(ANY_ITEM | JSON, max_size=3)}, optional={"status": SCALARS, "usage": JSON, "error": JSON})
PLACE = st.integers(-1, 2) | SCALARS
ANY_EVENT = JSON | st.fixed_dictionaries(
    {"type": KINDS},
    optional={"item": ANY_ITEM | JSON, "response": ANY_RESPONSE, "delta": SCALARS, "output_index": PLACE, "content_index": PLACE, "item_id": SCALARS},
)


@settings(deadline=None)
@given(ANY_RESPONSE)
def test_any_body(body: Any) -> None:
    outcome = chat_answer(body)
    assert isinstance(outcome, Answer | Failure)
    if isinstance(outcome, Answer) and outcome.message is not None:
        chat_body(ChatRequestV1(messages=(outcome.message,)), "gpt-5", kind_of("openai_responses"))


@settings(deadline=None)
@given(st.lists(ANY_EVENT, max_size=5))
def test_any_stream(events: list[Any]) -> None:
    stream = StreamedResponse()
    for event in events:
        pieces = stream.feed(Event(json.dumps(event)))
        assert all(piece.part >= 0 for piece in pieces)
    assert isinstance(stream.result(), Answer | Failure)
