"""What a request becomes on the Messages wire, what is translated or left out with a warning, and what is refused by name."""

from typing import Any

import pytest
from pydantic_core import to_json

from catalog.kinds import kind_of
from contracts.request import ChatRequestV1
from services.adapters.anthropic.convert import Asked, chat_body
from services.adapters.anthropic.wire import Messages
from services.adapters.conversion import Unconvertible
from tests.corpus.messages.asked import accepted

OLD, NEW, NEWEST = "claude-sonnet-4-5", "claude-opus-4-8", "claude-opus-5-5"
TOOL = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "description": "a count"}}, "required": ["n"]}


def ask(model: str = OLD, messages: Any = None, **fields: Any) -> Asked:
    request = ChatRequestV1.model_validate({"messages": messages or [{"role": "user", "content": "Q"}], **fields})
    asked = chat_body(request, model, kind_of("anthropic"), "claude")
    assert accepted(asked.body) is None
    return asked


def said(asked: Asked) -> list[str]:
    return [f"{warning.type}: {warning.message}" for warning in asked.warnings]


def call(call_id: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_call", "id": call_id, "name": "look", "arguments": arguments}


def turn(role: str, *parts: Any) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": part} if isinstance(part, str) else part for part in parts]}


def test_all_system_messages_arrive_in_their_order() -> None:
    messages = [{"role": "system", "content": "A"}, turn("system", "B", "C"), {"role": "user", "content": "Q"}]
    assert [block["text"] for block in ask(messages=messages).body["system"]] == ["A", "B", "C"]


def test_a_system_message_in_the_middle_stays_there_on_models_that_take_it_and_is_moved_with_a_warning_on_others() -> None:
    messages = [{"role": "system", "content": "A"}, {"role": "user", "content": "Q"}, {"role": "system", "content": "B"}]
    stays = ask(NEW, messages)
    assert stays.body["system"] == "A" and stays.body["messages"][1] == {"role": "system", "content": "B"} and not stays.warnings
    moved = ask(OLD, messages)
    assert [block["text"] for block in moved.body["system"]] == ["A", "B"] and len(moved.body["messages"]) == 1
    assert "middle of the conversation" in said(moved)[0]


def test_a_system_message_that_does_not_follow_a_user_turn_is_moved_on_every_model() -> None:
    messages = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}, {"role": "system", "content": "S"}, {"role": "user", "content": "Q2"}]
    asked = ask(NEW, messages)
    assert asked.body["system"] == "S" and [message["role"] for message in asked.body["messages"]] == ["user", "assistant", "user"] and asked.warnings


def test_results_of_parallel_calls_make_one_message_results_first() -> None:
    messages = [
        {"role": "user", "content": "Q"},
        turn(
            "assistant", {"type": "tool_call", "id": "a", "name": "look", "arguments": {}}, {"type": "tool_call", "id": "b.1", "name": "look", "arguments": {}}
        ),
        turn("tool", {"type": "tool_call_response", "id": "a", "response": {"n": 1}}),
        turn("tool", {"type": "tool_call_response", "id": "b.1", "response": "no", "is_error": True}),
        {"role": "user", "content": "and now?"},
    ]
    body = ask(messages=messages, tools=[TOOL]).body
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"][1]["id"] == "b_1"
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": '{"n":1}'},
        {"type": "tool_result", "tool_use_id": "b_1", "content": "no", "is_error": True},
        {"type": "text", "text": "and now?"},
    ]


def test_a_tool_answers_with_an_image_by_a_list_of_parts() -> None:
    image = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aW1n"}
    response = {"type": "tool_call_response", "id": "a", "response": [{"type": "text", "content": "see"}, image]}
    content = ask(messages=[turn("tool", response)]).body["messages"][0]["content"][0]["content"]
    assert content == [{"type": "text", "text": "see"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aW1n"}}]


def test_documents_by_base64_text_url_and_file_with_their_title_and_cache_marker() -> None:
    more = {"provider_data": {"title": "T", "citations": {"enabled": True}, "cache_control": {"type": "ephemeral", "ttl": "1h"}, "filename": "ignored"}}
    parts = [
        {"type": "blob", "modality": "document", "mime_type": "application/pdf", "content": "cGRm", **more},
        {"type": "uri", "modality": "document", "uri": "data:text/plain;base64,aGk="},
        {"type": "uri", "modality": "document", "uri": "https://a.test/x.pdf"},
        {"type": "file", "modality": "document", "file_id": "file_1"},
    ]
    blocks = ask(messages=[turn("user", *parts)]).body["messages"][0]["content"]
    assert blocks[0]["title"] == "T" and blocks[0]["cache_control"]["ttl"] == "1h" and "filename" not in blocks[0]
    assert [block["source"]["type"] for block in blocks] == ["base64", "text", "url", "file"]
    assert blocks[1]["source"]["data"] == "hi"


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ({"type": "blob", "modality": "audio", "mime_type": "audio/wav", "content": "eA=="}, "audio"),
        ({"type": "uri", "modality": "video", "uri": "https://a.test/v.mp4"}, "video"),
        ({"type": "blob", "modality": "document", "mime_type": "application/msword", "content": "eA=="}, "'application/msword'"),
        ({"type": "blob", "modality": "document", "mime_type": "text/plain", "content": "//8="}, "UTF-8"),
    ],
)
def test_what_the_wire_cannot_say_is_refused_by_its_place_and_name(part: Any, names: str) -> None:
    with pytest.raises(Unconvertible, match=rf"messages\.0\.parts\.1: .*{names}"):
        ask(messages=[turn("user", "see", part)])


def test_reasoning_goes_back_with_its_signature_and_is_dropped_with_a_warning_without_one() -> None:
    thought, hidden, foreign = (
        {"type": "reasoning", "content": "", "signature": "s"},
        {"type": "reasoning", "encrypted": "e"},
        {"type": "reasoning", "content": "t"},
    )
    asked = ask(messages=[{"role": "user", "content": "Q"}, turn("assistant", thought, hidden, foreign, "A"), {"role": "user", "content": "R"}])
    kinds = [block["type"] for block in asked.body["messages"][1]["content"]]
    assert kinds == ["thinking", "redacted_thinking", "text"] and said(asked) == [
        "dropped_parameter: reasoning without a signature: anthropic does not take it; it was left out"
    ]


def test_a_temperature_becomes_an_effort_where_the_model_takes_none() -> None:
    calm, lively, default = (ask(NEW, sampling={"temperature": value}) for value in (0.1, 0.9, 1))
    assert calm.body["output_config"] == {"effort": "high"} and lively.body["output_config"] == {"effort": "medium"}
    assert "temperature" not in calm.body and "effort (high)" in said(calm)[0]
    assert not default.warnings and "output_config" not in default.body
    by_hand = ask(NEW, sampling={"temperature": 0.1}, provider_options={"anthropic": {"output_config": {"effort": "low"}}})
    assert by_hand.body["output_config"] == {"effort": "low"}


def test_sampling_is_sent_where_the_model_takes_it_within_its_bounds() -> None:
    asked = ask(OLD, sampling={"temperature": 1.5, "top_p": 0.9, "stop": ["END"], "seed": 7, "max_output_tokens": 9})
    assert asked.body["temperature"] == 1 and "top_p" not in asked.body and asked.body["stop_sequences"] == ["END"] and asked.body["max_tokens"] == 9
    assert [line.partition(":")[0] for line in said(asked)] == ["dropped_parameter", "translated_parameter", "dropped_parameter"]


def test_every_body_names_a_limit() -> None:
    assert [ask(model).body["max_tokens"] for model in ("claude-3-opus-20240229", OLD, "glm-5")] == [4096, 16384, 8192]


def test_a_limit_that_nobody_asked_for_leaves_room_beside_the_thoughts() -> None:
    options = {"anthropic": {"thinking": {"type": "enabled", "budget_tokens": 32000}}}
    assert ask(OLD, provider_options=options).body["max_tokens"] == 48384
    assert ask(OLD, provider_options=options, sampling={"max_output_tokens": 40000}).body["max_tokens"] == 40000


def test_a_forced_call_is_asked_for_where_the_model_can_be_forced_and_translated_where_not() -> None:
    assert [ask(OLD, tools=[TOOL], tool_choice=choice).body["tool_choice"] for choice in ("auto", "none", "required", {"name": "look"})] == [
        {"type": "auto"},
        {"type": "none"},
        {"type": "any"},
        {"type": "tool", "name": "look"},
    ]
    asked = ask(NEWEST, tools=[TOOL], tool_choice="required")
    assert asked.body["tool_choice"] == {"type": "auto"} and "forced tool call" in said(asked)[0]
    beside = ask(OLD, tools=[TOOL], tool_choice="required", provider_options={"anthropic": {"thinking": {"type": "enabled", "budget_tokens": 1024}}})
    assert beside.body["tool_choice"] == {"type": "auto"} and beside.warnings


def test_structured_output_is_native_with_limits_said_in_descriptions() -> None:
    asked = ask(OLD, output={"json_schema": SCHEMA})
    number = {"type": "integer", "description": "a count (minimum: 1)"}
    closed = {"type": "object", "properties": {"n": number}, "required": ["n"], "additionalProperties": False}
    assert asked.body["output_config"] == {"format": {"type": "json_schema", "schema": closed}} and asked.output_tool is None and "minimum" in said(asked)[0]


@pytest.mark.parametrize(("model", "schema"), [("claude-3-5-haiku-latest", SCHEMA), (OLD, {"type": "object", "additionalProperties": {"type": "string"}})])
def test_structured_output_is_a_forced_tool_where_model_or_schema_has_no_native_way(model: str, schema: Any) -> None:
    asked = ask(model, output={"name": "answer", "json_schema": schema})
    assert (
        asked.output_tool == "answer" and asked.body["tool_choice"] == {"type": "tool", "name": "answer"} and asked.body["tools"][0]["input_schema"] == schema
    )
    assert "output_config" not in asked.body and "a tool 'answer'" in said(asked)[0]


def test_options_of_the_provider_pass_through_join_our_tools_and_may_not_replace_what_the_router_chose() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    options = {
        "tools": [{"name": "look", "cache_control": {"type": "ephemeral"}}, search],
        "top_k": 4,
        "model": "other",
        "betas": ["b-1", "b-2"],
        "container": "c1",
    }
    asked = ask(OLD, tools=[TOOL], provider_options={"anthropic": options, "claude": {"top_k": 5}, "openai": {"user": "u"}})
    assert asked.body["tools"][0]["cache_control"] == {"type": "ephemeral"} and asked.body["tools"][1] == search
    assert asked.body["top_k"] == 5 and asked.body["model"] == OLD and "user" not in asked.body and asked.body["container"] == "c1"
    assert asked.betas == ("b-1", "b-2") and "betas" not in asked.body and "provider_options.anthropic.model" in said(asked)[0]


def test_betas_are_a_header() -> None:
    request = ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "Q"}], "provider_options": {"anthropic": {"betas": ["a", "b"]}}})
    assert Messages(kind_of("anthropic")).chat(request, OLD).headers == {"anthropic-beta": "a,b"}


def test_the_same_request_gives_the_same_bytes() -> None:
    messages = [
        {"role": "user", "content": "Q"},
        turn("assistant", {"type": "tool_call", "id": "a", "name": "look", "arguments": {"z": 1, "a": {"y": 2, "b": 3}}}),
    ]
    first, second = (to_json(ask(messages=messages, tools=[TOOL]).body) for _ in range(2))
    assert first == second and b'{"z":1,"a":{"y":2,"b":3}}' in first


def test_a_container_is_used_again_in_the_next_turn_unless_the_options_name_one() -> None:
    result = {"type": "server_tool_call_response", "provider_data": {"anthropic_block": {"type": "text", "text": "r"}, "anthropic_container": "c9"}}
    messages = [{"role": "user", "content": "Q"}, turn("assistant", result), {"role": "user", "content": "R"}]
    assert ask(messages=messages).body["container"] == "c9"
    assert ask(messages=messages, provider_options={"anthropic": {"container": "own"}}).body["container"] == "own"


def test_on_vertex_the_model_stands_in_the_path_and_the_body_names_the_version() -> None:
    wire = Messages(kind_of("vertex_anthropic"), "v", {"project": "p", "location": "europe-west1"})
    whole, streamed = (
        wire.chat(ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "Q"}], "stream": stream}), "claude-sonnet-4-5@20250929")
        for stream in (False, True)
    )
    assert whole.path == "/projects/p/locations/europe-west1/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict"
    assert streamed.path.endswith(":streamRawPredict") and streamed.body["stream"] is True
    assert whole.body["anthropic_version"] == "vertex-2023-10-16" and "model" not in whole.body


def test_a_conversation_of_systems_alone_is_refused() -> None:
    with pytest.raises(Unconvertible, match="add a user turn"):
        ask(messages=[{"role": "system", "content": "A"}])


def test_embeddings_are_refused_by_name() -> None:
    from contracts.request import EmbedRequestV1

    with pytest.raises(Unconvertible, match="anthropic has no embeddings"):
        Messages(kind_of("anthropic")).embed(EmbedRequestV1(input=("a",)), "m")


def test_server_tools_written_by_hand_are_known_by_their_ids_and_those_of_other_providers_are_dropped() -> None:
    found = {"tool_references": [{"type": "tool_reference", "tool_name": "look"}], "type": "tool_search_tool_search_result"}
    parts = [
        {"type": "server_tool_call", "id": "srvtoolu_1", "name": "web_search", "arguments": {"query": "q"}},
        {"type": "server_tool_call_response", "id": "srvtoolu_1", "response": []},
        {"type": "server_tool_call", "id": "srvtoolu_2", "name": "tool_search_tool_bm25", "arguments": {"query": "q"}},
        {"type": "server_tool_call_response", "id": "srvtoolu_2", "response": found},
        {"type": "server_tool_call", "id": "ws_1", "name": "web_search"},
        {"type": "server_tool_call_response", "id": "srvtoolu_9", "response": []},
    ]
    asked = ask(messages=[{"role": "user", "content": "Q"}, turn("assistant", *parts), {"role": "user", "content": "R"}])
    blocks = asked.body["messages"][1]["content"]
    assert [block["type"] for block in blocks] == ["server_tool_use", "web_search_tool_result", "server_tool_use", "tool_search_tool_result"]
    assert blocks[0]["input"] == {"query": "q"} and blocks[3]["content"] == found and len(asked.warnings) == 2


def test_the_apis_own_blocks_in_a_tools_result_go_as_they_are() -> None:
    content = [{"type": "text", "text": "see"}, {"type": "image", "source": {"type": "url", "url": "https://a.test/x.png"}}]
    response = {"type": "tool_call_response", "id": "a", "response": content}
    assert ask(messages=[turn("tool", response)]).body["messages"][0]["content"][0]["content"] == content


def test_results_come_before_what_the_user_says_beside_them() -> None:
    content = ask(messages=[turn("user", "look:", {"type": "tool_call_response", "id": "a", "response": "r"})]).body["messages"][0]["content"]
    assert [block["type"] for block in content] == ["tool_result", "text"]
