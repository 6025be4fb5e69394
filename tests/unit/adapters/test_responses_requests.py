"""Requests of the contract as bodies of OpenAI's Responses API."""

import json
from typing import Any

import pytest

from catalog.kinds import kind_of
from contracts.content import NamedToolV1
from contracts.request import ChatRequestV1, EmbedRequestV1
from services.adapters.conversion import Unconvertible
from services.adapters.openai_responses.convert import chat_body
from services.adapters.openai_responses.wire import Responses

CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}
PNG = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA"}
REASONING = {"type": "reasoning", "content": "hm", "encrypted": "sealed", "provider_data": {"openai_item": {"type": "reasoning", "id": "rs_1"}}}
CALL = {"type": "tool_call", "id": "c1", "name": "f", "arguments": {"a": "b"}}


def asked(*messages: Any, model: str = "gpt-4.1", kind: str = "openai_responses", **fields: Any) -> tuple[dict[str, Any], list[str]]:
    request = ChatRequestV1.model_validate({"messages": list(messages) or [{"role": "user", "content": "hi"}], **fields})
    body, warnings = chat_body(request, model, kind_of(kind), "own")
    return json.loads(json.dumps(body)), [f"{warning.type}: {warning.message}" for warning in warnings]


def items(*messages: Any, **fields: Any) -> list[dict[str, Any]]:
    body, warnings = asked(*messages, **fields)
    assert not warnings
    found: list[dict[str, Any]] = body["input"]
    return found


def turn(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


def of_item(part: dict[str, Any], **own: Any) -> dict[str, Any]:
    return {**part, "provider_data": {**part.get("provider_data", {}), "openai_item": own}}


def test_the_provider_keeps_nothing_unless_it_is_told_to() -> None:
    assert asked()[0] == {"model": "gpt-4.1", "input": [{"role": "user", "content": "hi"}], "store": False}


@pytest.mark.parametrize("model", ["gpt-5", "openai/gpt-5.4-mini", "o3", "o4-mini", "codex-mini-latest", "grok-4.3", "grok-code-fast-1"])
def test_a_model_that_reasons_is_asked_for_its_reasoning_in_encrypted_form(model: str) -> None:
    assert asked(model=model)[0]["include"] == ["reasoning.encrypted_content"]


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1", "gpt-5-chat-latest", "grok-4-fast-non-reasoning", "deepseek-v4-flash", "my-deployment"])
def test_a_model_that_may_refuse_encrypted_reasoning_is_not_asked_for_it(model: str) -> None:
    assert "include" not in asked(model=model)[0]


@pytest.mark.parametrize("options", [{"store": True}, {"previous_response_id": "resp_1"}, {"conversation": "conv_1"}])
def test_a_caller_who_wants_the_provider_to_keep_the_conversation_says_so(options: dict[str, Any]) -> None:
    body, _ = asked(model="gpt-5", provider_options={"openai_responses": options})
    assert {name: value for name, value in body.items() if name not in ("model", "input")} == options


def test_all_system_messages_stand_where_they_stood() -> None:
    given = [{"role": role, "content": role + str(at)} for at, role in enumerate(("system", "system", "user", "system"))]
    assert items(*given) == given


def test_media_of_a_user_turn_are_blocks() -> None:
    [message] = items(
        turn(
            "user",
            {"type": "text", "content": "look"},
            PNG,
            {"type": "uri", "modality": "image", "uri": "https://x/y.png", "provider_data": {"detail": "low"}},
            {"type": "file", "modality": "image", "file_id": "file-1"},
            {"type": "blob", "modality": "document", "mime_type": "application/pdf", "content": "AAAA"},
            {"type": "blob", "modality": "document", "mime_type": "text/plain", "content": "AAAA", "provider_data": {"filename": "a.txt"}},
            {"type": "uri", "modality": "document", "uri": "https://x/y.pdf"},
            {"type": "uri", "modality": "document", "uri": "data:application/pdf;base64,AAAA"},
            {"type": "file", "modality": "document", "file_id": "file-2"},
        )
    )
    assert message["content"] == [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,AAAA"},
        {"type": "input_image", "detail": "low", "image_url": "https://x/y.png"},
        {"type": "input_image", "detail": "auto", "file_id": "file-1"},
        {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,AAAA"},
        {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,AAAA"},
        {"type": "input_file", "file_url": "https://x/y.pdf"},
        {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,AAAA"},
        {"type": "input_file", "file_id": "file-2"},
    ]


AUDIO = {"type": "blob", "modality": "audio", "mime_type": "audio/mpeg", "content": "AAAA"}


def test_audio_goes_where_it_is_taken_and_is_refused_elsewhere() -> None:
    [message] = items(turn("user", AUDIO), kind="openrouter_responses")
    assert message["content"] == [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}]
    with pytest.raises(Unconvertible, match=r"messages\.0\.parts\.0: openai_responses takes no audio; send it to another provider"):
        asked(turn("user", AUDIO))


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (turn("user", {"type": "uri", "modality": "video", "uri": "https://x/y.mp4"}), "takes no video in this turn"),
        (turn("assistant", PNG), "takes no 'blob' part in an assistant turn; put it into a user turn"),
        (turn("tool", {"type": "text", "content": "x"}), "a tool turn holds parts of type 'tool_call_response'"),
        (turn("user", CALL), "takes no 'tool_call' part in this turn"),
    ],
)
def test_what_cannot_be_said_is_refused_by_its_place(message: Any, words: str) -> None:
    with pytest.raises(Unconvertible, match=f"^messages\\.0\\.parts\\.0: .*{words}"):
        asked(message)


def test_a_cache_breakpoint_goes_to_providers_that_know_it() -> None:
    part = {"type": "text", "content": "long", "provider_data": {"prompt_cache_breakpoint": {"mode": "explicit"}}}
    [message] = items(turn("user", part))
    assert message["content"] == [{"type": "input_text", "text": "long", "prompt_cache_breakpoint": {"mode": "explicit"}}]
    body, warnings = asked(turn("user", part), kind="xai_responses")
    assert body["input"] == [{"role": "user", "content": "long"}] and "provider_data.prompt_cache_breakpoint" in warnings[0]


def test_a_tool_answers_with_text_values_or_media() -> None:
    def answer(at: int, response: Any) -> dict[str, Any]:
        return {"type": "tool_call_response", "id": f"c{at}", "response": response}

    found = items(turn("tool", answer(1, "text"), answer(2, {"a": [1]}), answer(3, [{"type": "text", "content": "see"}, PNG]), answer(4, [{"type": "x"}])))
    assert [item["output"] for item in found] == [
        "text",
        '{"a":[1]}',
        [{"type": "input_text", "text": "see"}, {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,AAAA"}],
        '[{"type":"x"}]',
    ]
    assert [(item["type"], item["call_id"]) for item in found] == [("function_call_output", f"c{at}") for at in range(1, 5)]


def test_a_failed_tool_is_said_in_its_words_alone() -> None:
    body, warnings = asked(turn("tool", {"type": "tool_call_response", "id": "c1", "response": "broken", "is_error": True}))
    assert body["input"] == [{"type": "function_call_output", "call_id": "c1", "output": "broken"}]
    assert warnings == ["dropped_parameter: tool_call_response.is_error: openai_responses does not take it; it was left out"]


def test_a_custom_tool_is_answered_as_one() -> None:
    call = of_item({**CALL, "arguments": {}, "provider_data": {"custom": True, "raw_arguments": "4 + 4"}}, type="custom_tool_call", id="ctc_1")
    found = items(turn("assistant", call), turn("tool", {"type": "tool_call_response", "id": "c1", "response": "8"}))
    assert found == [
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "f", "input": "4 + 4"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "8"},
    ]


def test_reasoning_goes_back_encrypted_with_what_it_led_to() -> None:
    text = of_item({"type": "text", "content": "so"}, type="message", id="msg_1", status="completed", phase="final_answer")
    summary = {"type": "reasoning", "content": "ha", "provider_data": REASONING["provider_data"]}
    found = items(turn("assistant", REASONING, summary, of_item(CALL, type="function_call", id="fc_1", namespace="n"), text), model="gpt-5")
    assert found == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}, {"type": "summary_text", "text": "ha"}],
            "encrypted_content": "sealed",
        },
        {"type": "function_call", "id": "fc_1", "namespace": "n", "call_id": "c1", "name": "f", "arguments": '{"a":"b"}'},
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "phase": "final_answer",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "so", "annotations": []}],
        },
    ]


def test_two_encrypted_reasonings_in_a_row_stay_two() -> None:
    found = items(turn("assistant", REASONING, {**REASONING, "encrypted": "other"}, of_item(CALL, type="function_call", id="fc_1")), model="gpt-5")
    assert [item.get("encrypted_content") for item in found] == ["sealed", "other", None]


def test_reasoning_before_what_has_no_id_goes_without_its_own() -> None:
    """With it the API says: "reasoning" was provided without its required following item."""
    found = items(turn("assistant", REASONING, {"type": "text", "content": "so"}), model="gpt-5")
    assert found == [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "sealed"},
        {"role": "assistant", "content": "so"},
    ]


def test_reasoning_that_the_provider_cannot_know_is_left_out_and_what_it_led_to_goes_without_ids() -> None:
    bare = {**REASONING, "encrypted": None}
    text = of_item({"type": "text", "content": "so"}, type="message", id="msg_1", status="completed")
    parts = (bare, of_item(CALL, type="function_call", id="fc_1"), text)
    body, warnings = asked(turn("assistant", *parts), model="gpt-5")
    assert body["input"] == [
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":"b"}'},
        {"role": "assistant", "content": "so"},
    ]
    assert "part of type 'reasoning' without its encrypted content" in warnings[0]
    stored, warnings = asked(turn("assistant", *parts), model="gpt-5", provider_options={"openai_responses": {"store": True}})
    assert [item["id"] for item in stored["input"]] == ["rs_1", "fc_1", "msg_1"] and not warnings


def test_plain_reasoning_text_goes_back_as_it_came() -> None:
    raw = of_item({"type": "reasoning", "content": "hm", "provider_data": {"raw": True}}, type="reasoning", id="1", status="completed")
    found = items(turn("assistant", raw, CALL), model="deepseek-v4-flash", kind="deepseek_responses")
    assert found[0] == {"type": "reasoning", "id": "1", "status": "completed", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}


@pytest.mark.parametrize("options", [{}, {"openai_responses": {"store": True}}])
def test_a_model_that_does_not_reason_is_sent_no_reasoning(options: Any) -> None:
    body, warnings = asked(turn("assistant", REASONING, of_item(CALL, type="function_call", id="fc_1")), model="gpt-4.1", provider_options=options)
    assert body["input"] == [{"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":"b"}'}]
    assert warnings == ["dropped_parameter: part of type 'reasoning' with this model: openai_responses does not take it; it was left out"]


def test_what_another_provider_of_the_protocol_gave_goes_without_its_ids_and_secrets() -> None:
    def given(part: dict[str, Any], **own: Any) -> dict[str, Any]:
        return of_item({**part, "provider_data": {"openai_by": "xai_responses"}}, **own)

    parts = (
        given({"type": "reasoning", "content": "hm", "encrypted": "sealed"}, type="reasoning", id="rs_1"),
        given({"type": "server_tool_call", "name": "web_search"}, type="web_search_call", id="ws_1"),
        given({"type": "text", "content": "so"}, type="message", id="msg_1", status="completed", phase="commentary"),
        given(CALL, type="function_call", id="fc_1"),
    )
    body, warnings = asked(turn("assistant", *parts), model="gpt-5")
    assert body["input"] == [
        {"role": "assistant", "content": "so", "phase": "commentary"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":"b"}'},
    ]
    assert len(warnings) == 2
    body, warnings = asked(turn("assistant", *parts), model="grok-4.3", kind="xai_responses")
    assert [item["id"] for item in body["input"]] == ["rs_1", "ws_1", "msg_1", "fc_1"] and not warnings


def test_parts_of_other_providers_are_left_out_with_a_warning() -> None:
    body, warnings = asked(
        turn("assistant", {"type": "reasoning", "content": "x", "encrypted": "of another"}, {"type": "server_tool_call", "name": "web"}, CALL),
        turn("user", {"type": "reasoning", "content": "x"}, {"type": "text", "content": "on"}),
    )
    assert [item.get("type", item.get("role")) for item in body["input"]] == ["function_call", "user"]
    assert len(warnings) == 3


def test_items_of_the_providers_own_tools_go_back_whole_and_others_can_be_put_in_by_hand() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
    approval = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}
    found = items(
        turn("assistant", of_item({"type": "server_tool_call", "name": "web_search"}, **search)),
        turn("user", {"type": "text", "content": "a"}, of_item({"type": "server_tool_call_response"}, **approval), {"type": "text", "content": "b"}),
    )
    assert found == [search, {"role": "user", "content": "a"}, approval, {"role": "user", "content": "b"}]


def test_what_a_tool_of_the_provider_gave_is_put_back_into_its_item() -> None:
    call = of_item({"type": "server_tool_call", "name": "image_generation"}, type="image_generation_call", id="ig_1", status="completed", result=None)
    image = {**PNG, "provider_data": {"openai_result": {"id": "ig_1", "field": "result"}}}
    assert items(turn("assistant", call, image)) == [{"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AAAA"}]
    body, warnings = asked(turn("assistant", image))
    assert body["input"] == [] and "without its server_tool_call" in warnings[0]


def test_strict_is_always_said_of_a_tool_and_kept_where_the_caller_says_it() -> None:
    tools = [{"name": "a", "parameters": CLOSED}, {"name": "b", "parameters": OPEN}, {"name": "c", "parameters": CLOSED, "strict": False, "description": "d"}]
    assert asked(tools=tools)[0]["tools"] == [
        {"type": "function", "name": "a", "parameters": CLOSED, "strict": True},
        {"type": "function", "name": "b", "parameters": OPEN, "strict": False},
        {"type": "function", "name": "c", "description": "d", "parameters": CLOSED, "strict": False},
    ]


@pytest.mark.parametrize(("choice", "wire"), [("auto", "auto"), ("required", "required"), ("none", "none"), ({"name": "a"}, {"type": "function", "name": "a"})])
def test_a_tool_choice(choice: Any, wire: Any) -> None:
    assert asked(tools=[{"name": "a"}], tool_choice=choice)[0]["tool_choice"] == wire
    body, warnings = asked(tool_choice=choice)
    assert "tool_choice" not in body and bool(warnings) == (choice != "none")


def test_tools_of_the_provider_come_after_the_requests_own_and_further_fields_go_into_them() -> None:
    options = {"tools": [{"type": "web_search"}, {"type": "function", "name": "a", "defer_loading": True}], "include": ["reasoning.encrypted_content", "x"]}
    body, _ = asked(model="o3", tools=[{"name": "a", "parameters": CLOSED}], provider_options={"openai_responses": options})
    assert body["tools"] == [{"type": "function", "name": "a", "parameters": CLOSED, "strict": True, "defer_loading": True}, {"type": "web_search"}]
    assert body["include"] == ["reasoning.encrypted_content", "x"]


def test_options_by_type_and_by_id_go_on_top_and_may_not_replace_what_is_owned() -> None:
    options = {"openai_responses": {"reasoning": {"summary": "auto"}, "model": "other"}, "own": {"text": {"verbosity": "low"}, "store": None}, "xai": {"a": 1}}
    body, warnings = asked(model="gpt-5", sampling={"temperature": 0.2}, output={"json_schema": CLOSED}, provider_options=options)
    assert body["reasoning"] == {"effort": "high", "summary": "auto"}
    assert body["text"]["verbosity"] == "low" and body["text"]["format"]["schema"] == CLOSED
    assert body["model"] == "gpt-5" and "a" not in body and "store" not in body
    assert any("provider_options.openai_responses.model" in warning for warning in warnings)


def test_a_chosen_tool_in_the_options_stands_for_the_requests_own() -> None:
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "a"}]}
    body, _ = asked(tools=[{"name": "a"}], tool_choice=NamedToolV1(name="a"), provider_options={"openai_responses": {"tool_choice": allowed}})
    assert body["tool_choice"] == allowed


def test_structured_output_is_strict_where_its_schema_can_be() -> None:
    body, _ = asked(output={"name": "n", "description": "d", "json_schema": CLOSED})
    assert body["text"] == {"format": {"type": "json_schema", "name": "n", "description": "d", "schema": CLOSED, "strict": True}}
    assert asked(output={"json_schema": OPEN})[0]["text"]["format"]["strict"] is False


def test_where_there_is_no_json_schema_it_is_said_in_words() -> None:
    body, warnings = asked({"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}, output={"json_schema": OPEN}, kind="deepseek_responses")
    assert body["text"] == {"format": {"type": "json_object"}}
    assert [item["role"] for item in body["input"]] == ["system", "system", "user"] and json.dumps(OPEN, separators=(",", ":")) in body["input"][1]["content"]
    assert warnings[0].startswith("translated_parameter: output.json_schema")


def test_sampling_that_the_protocol_or_the_model_does_not_take_is_told() -> None:
    sampling = {"temperature": 0.7, "top_p": 0.5, "max_output_tokens": 9, "stop": ["x"], "seed": 1}
    body, warnings = asked(sampling=sampling)
    assert (body["temperature"], body["top_p"], body["max_output_tokens"]) == (0.7, 0.5, 9) and not {"stop", "seed"} & body.keys()
    assert [warning.split(":")[1].strip() for warning in warnings] == ["sampling.stop", "sampling.seed"]
    body, warnings = asked(sampling=sampling, model="gpt-5")
    assert body["reasoning"] == {"effort": "medium"} and not {"temperature", "top_p"} & body.keys()
    assert len(warnings) == 4 and any(warning.startswith("translated_parameter: sampling.temperature") for warning in warnings)
    body, warnings = asked(sampling={"temperature": 0.7}, model="gpt-5", provider_options={"openai_responses": {"reasoning": {"effort": "low"}}})
    assert body["reasoning"] == {"effort": "low"} and "sampling.temperature" in warnings[0]
    body, warnings = asked(sampling={"temperature": 1}, model="gpt-5")
    assert "reasoning" not in body and "sampling.temperature" in warnings[0]


@pytest.mark.parametrize(("reasoning", "taken"), [({"effort": "none"}, True), ({"summary": "auto"}, True), (None, True), ({"effort": "low"}, False)])
def test_from_gpt_5_1_on_a_temperature_passes_unless_an_effort_is_asked_for(reasoning: Any, taken: bool) -> None:
    body, warnings = asked(sampling={"temperature": 0.7}, model="gpt-5.2", provider_options={"openai_responses": {"reasoning": reasoning}})
    assert (body.get("temperature") == 0.7, bool(warnings)) == (taken, not taken)


def test_a_background_answer_is_refused_unless_it_is_streamed() -> None:
    options = {"openai_responses": {"background": True}}
    with pytest.raises(Unconvertible, match="a 'background' answer is not waited for"):
        asked(provider_options=options)
    body, _ = asked(provider_options=options, stream=True)
    assert body["background"] is True and body["stream"] is True and "store" not in body


def test_there_are_no_embeddings() -> None:
    with pytest.raises(Unconvertible, match="azure_responses has no embeddings"):
        Responses(kind_of("azure_responses")).embed(EmbedRequestV1(input=("x",)), "m")


def test_azures_older_addresses_want_a_version() -> None:
    request = ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "hi"}]})
    kind = kind_of("azure_responses")
    assert Responses(kind).chat(request, "m").path == "/responses"
    assert Responses(kind, options={"api_version": "2025-04-01-preview"}).chat(request, "m").path == "/responses?api-version=2025-04-01-preview"
