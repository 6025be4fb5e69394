"""Our requests as chat-completions bodies: everything arrives, or is warned of, or is refused by name."""

from typing import Any

import pytest

from catalog.kinds import UnknownProviderType, kind_of, kinds
from contracts.request import ChatRequestV1, EmbedRequestV1
from services.adapters.conversion import Unconvertible
from services.adapters.openai.convert import chat_body, embed_body
from services.adapters.openai.schemas import is_strict

OPENAI, VLLM, OLLAMA = kind_of("openai"), kind_of("vllm"), kind_of("ollama")


def body(messages: list[dict[str, Any]], kind: str = "openai", **fields: Any) -> tuple[dict[str, Any], list[str]]:
    wire, warnings = chat_body(ChatRequestV1.model_validate({"messages": messages, **fields}), "m", kind_of(kind), "mine")
    assert {warning.type for warning in warnings} <= {"dropped_parameter"}
    return wire, [warning.message for warning in warnings]


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def test_the_known_providers_are_read_from_one_file() -> None:
    assert {"openai", "vllm", "ollama", "local"} <= set(kinds())
    assert kind_of("local").free and kind_of("ollama").free and not OPENAI.free
    assert OPENAI.prices == "openai" and VLLM.prices is None


def test_an_unknown_provider_type_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownProviderType, match=r"'opneai' is not known; use one of .*ollama, .*openai, "):
        kind_of("opneai")


def test_all_system_turns_arrive_in_their_order() -> None:
    wire, _ = body([{"role": "system", "content": "a"}, {"role": "user", "content": "b"}, {"role": "system", "content": "c"}])
    assert wire == {"model": "m", "messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}, {"role": "system", "content": "c"}]}


def test_media_become_the_content_blocks_of_the_wire() -> None:
    parts: list[dict[str, Any]] = [
        {"type": "text", "content": "look"},
        {"type": "uri", "modality": "image", "uri": "https://x/y.png"},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA"},
        {"type": "blob", "modality": "audio", "mime_type": "audio/mpeg", "content": "BBBB"},
        {"type": "blob", "modality": "document", "mime_type": "application/pdf", "content": "CCCC", "provider_data": {"filename": "bill.pdf"}},
        {"type": "file", "modality": "document", "file_id": "file-1"},
    ]
    assert body([user(*parts)])[0]["messages"][0]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "mp3"}},
        {"type": "file", "file": {"filename": "bill.pdf", "file_data": "data:application/pdf;base64,CCCC"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (user({"type": "uri", "modality": "audio", "uri": "https://x/y.mp3"}), r"messages\.0\.parts\.0: openai takes no audio by uri"),
        (user({"type": "blob", "modality": "video", "mime_type": "video/mp4", "content": "AAAA"}), r"messages\.0\.parts\.0: openai takes no video"),
        ({"role": "assistant", "parts": [{"type": "file", "modality": "image", "file_id": "f"}]}, r"messages\.0\.parts\.0: .*assistant turn"),
        ({"role": "tool", "content": "42"}, r"messages\.0: a tool turn holds parts of type 'tool_call_response'"),
    ],
)
def test_content_that_the_wire_cannot_say_is_refused_not_dropped(message: dict[str, Any], why: str) -> None:
    with pytest.raises(Unconvertible, match=why):
        body([message])


def test_vllm_takes_audio_and_video_by_url() -> None:
    wire, _ = body([user({"type": "uri", "modality": "video", "uri": "https://x/y.mp4"})], "vllm")
    assert wire["messages"][0]["content"] == [{"type": "video_url", "video_url": {"url": "https://x/y.mp4"}}]


TOOL_TURNS = [
    {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, {"type": "tool_call", "id": "c1", "name": "f", "arguments": {"q": "ü"}}]},
    {
        "role": "tool",
        "parts": [{"type": "tool_call_response", "id": "c1", "response": {"n": 1}}, {"type": "tool_call_response", "id": "c2", "response": "two"}],
    },
]


def test_tool_calls_and_their_answers_keep_their_ids() -> None:
    wire, warnings = body(TOOL_TURNS, "vllm")
    assert wire["messages"] == [
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"q":"ü"}'}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": '{"n":1}'},
        {"role": "tool", "tool_call_id": "c2", "content": "two"},
    ]
    assert warnings == []


def test_earlier_reasoning_is_dropped_with_a_warning_where_the_wire_has_no_place_for_it() -> None:
    wire, warnings = body(TOOL_TURNS)
    assert "reasoning_content" not in wire["messages"][0]
    assert warnings == ["part of type 'reasoning': openai does not take it; it was left out"]


def test_tool_answers_beside_text_come_before_it() -> None:
    wire, _ = body([user({"type": "text", "content": "go on"}, {"type": "tool_call_response", "id": "c1", "response": "x"})])
    assert [message["role"] for message in wire["messages"]] == ["tool", "user"]


@pytest.mark.parametrize(
    ("choice", "wire_choice"), [("auto", "auto"), ("none", "none"), ("required", "required"), ({"name": "f"}, {"type": "function", "function": {"name": "f"}})]
)
def test_tools_and_the_choice_of_one(choice: Any, wire_choice: Any) -> None:
    wire, _ = body([user()], tools=[{"name": "f", "description": "d", "parameters": {"type": "object"}}], tool_choice=choice)
    assert wire["tools"] == [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}]
    assert wire["tool_choice"] == wire_choice


def test_sampling_goes_under_the_names_of_the_provider() -> None:
    sampling = {"temperature": 0.0, "top_p": 0.5, "max_output_tokens": 7, "stop": ["x"], "seed": 0}
    same = {"temperature": 0.0, "top_p": 0.5, "stop": ["x"], "seed": 0}
    turns = [{"role": "user", "content": "hi"}]
    assert {name: value for name, value in body(turns, sampling=sampling)[0].items() if name not in ("model", "messages")} == {
        **same,
        "max_completion_tokens": 7,
    }
    assert body(turns, "vllm", sampling=sampling)[0]["max_tokens"] == 7


def test_a_stream_asks_for_its_usage() -> None:
    wire, _ = body([{"role": "user", "content": "hi"}], stream=True)
    assert (wire["stream"], wire["stream_options"]) == (True, {"include_usage": True})


CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def test_a_schema_is_asked_for_strictly_only_where_the_provider_would_take_it_so() -> None:
    wire, _ = body([{"role": "user", "content": "hi"}], output={"name": "capital", "json_schema": CLOSED})
    assert wire["response_format"] == {"type": "json_schema", "json_schema": {"name": "capital", "schema": CLOSED, "strict": True}}
    for loose in ({"type": "object"}, {**CLOSED, "required": []}, {**CLOSED, "properties": {"a": {"type": "string", "minLength": 1}}}, {"type": "array"}):
        assert not is_strict(loose)


def test_options_of_the_type_and_then_of_the_provider_go_on_top() -> None:
    options = {"openai": {"user": "u", "seed": 1, "temperature": None}, "mine": {"seed": 2}, "anthropic": {"top_k": 1}}
    wire, warnings = body([{"role": "user", "content": "hi"}], provider_options=options, sampling={"temperature": 1})
    assert (wire["user"], wire["seed"], "temperature" in wire, "top_k" in wire, warnings) == ("u", 2, False, False, [])


def test_options_cannot_change_the_model_or_switch_streaming() -> None:
    wire, warnings = body([{"role": "user", "content": "hi"}], provider_options={"openai": {"model": "dear", "stream": True}})
    assert wire["model"] == "m" and "stream" not in wire
    assert [warning.split(":")[0] for warning in warnings] == ["provider_options.openai.model", "provider_options.openai.stream"]


def test_an_embedding_request() -> None:
    wire, _ = embed_body(EmbedRequestV1(input=("a", "b"), dimensions=3, encoding="base64"), "m", OPENAI)
    assert wire == {"model": "m", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 3}
