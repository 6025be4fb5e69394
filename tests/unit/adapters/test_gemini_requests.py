"""Our requests as generateContent bodies: everything arrives, or is warned of, or is refused by name."""

from typing import Any

import pytest

from catalog.kinds import kind_of
from contracts.request import ChatRequestV1
from services.adapters.conversion import Unconvertible
from services.adapters.gemini.convert import chat_body

USER = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {"q": {"$ref": "#/$defs/q"}}, "$defs": {"q": {"type": "string"}}}
TOOL = {"name": "find", "description": "finds", "parameters": SCHEMA}


def body(messages: list[dict[str, Any]], model: str = "gemini-2.5-pro", kind: str = "gemini", **fields: Any) -> tuple[dict[str, Any], list[str]]:
    wire, warnings = chat_body(ChatRequestV1.model_validate({"messages": messages, **fields}), model, kind_of(kind), "mine")
    return wire, [warning.message for warning in warnings]


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def call(id: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_call", "id": id, "name": name, "arguments": {}, **fields}


def answer(id: str, response: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_call_response", "id": id, "response": response, **fields}


def test_all_system_messages_arrive_in_their_order_and_a_late_one_is_said() -> None:
    wire, warnings = body([{"role": "system", "content": "a"}, USER, {"role": "system", "content": "b"}])
    assert wire["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert wire["contents"] == [{"role": "user", "parts": [{"text": "hi"}]}]
    assert len(warnings) == 1 and "a system message after the first turn" in warnings[0]


def test_a_conversation_of_system_messages_alone_is_refused() -> None:
    with pytest.raises(Unconvertible, match="add a message of role 'user'"):
        body([{"role": "system", "content": "a"}])


def test_media_become_inline_data_or_file_data() -> None:
    parts: list[dict[str, Any]] = [
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA"},
        {"type": "uri", "modality": "document", "uri": "https://x/a.pdf?s=1"},
        {"type": "uri", "modality": "video", "uri": "https://youtu.be/abc"},
        {"type": "uri", "modality": "image", "uri": "data:image/gif;base64,BBBB"},
        {"type": "file", "modality": "audio", "mime_type": "audio/mpeg", "file_id": "files/abc"},
        {"type": "uri", "modality": "video", "uri": "gs://b/v.mp4", "provider_data": {"videoMetadata": {"fps": 0.2}}},
    ]
    assert body([user(*parts)])[0]["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"fileData": {"fileUri": "https://x/a.pdf?s=1", "mimeType": "application/pdf"}},
        {"fileData": {"fileUri": "https://youtu.be/abc"}},
        {"inlineData": {"mimeType": "image/gif", "data": "BBBB"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc", "mimeType": "audio/mpeg"}},
        {"fileData": {"fileUri": "gs://b/v.mp4", "mimeType": "video/mp4"}, "videoMetadata": {"fps": 0.2}},
    ]


def test_parallel_answers_stand_in_one_turn_with_the_names_of_their_functions() -> None:
    turns: list[dict[str, Any]] = [
        USER,
        {"role": "assistant", "parts": [call("1", "f"), call("2", "g")]},
        {"role": "tool", "parts": [answer("2", {"x": 1})]},
        {"role": "tool", "parts": [answer("1", "plain")]},
        {"role": "tool", "parts": [answer("1", "no", is_error=True)]},
    ]
    contents = body(turns)[0]["contents"]
    assert [content["role"] for content in contents] == ["user", "model", "user"]
    assert contents[2]["parts"] == [
        {"functionResponse": {"id": "2", "name": "g", "response": {"x": 1}}},
        {"functionResponse": {"id": "1", "name": "f", "response": {"output": "plain"}}},
        {"functionResponse": {"id": "1", "name": "f", "response": {"error": "no"}}},
    ]


def test_an_answer_to_an_unknown_call_is_refused_by_its_place() -> None:
    with pytest.raises(Unconvertible, match=r"messages\.1\.parts\.0: Google wants the function's name, and no earlier .* has the id 'x'"):
        body([USER, {"role": "tool", "parts": [answer("x", "y")]}])


def test_an_id_that_was_invented_is_not_sent() -> None:
    made = call("call_r_0", "f", provider_data={"invented_id": True, "thoughtSignature": "c2ln"})
    contents = body([USER, {"role": "assistant", "parts": [made]}, {"role": "tool", "parts": [answer("call_r_0", {})]}])[0]["contents"]
    assert contents[1]["parts"] == [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"}]
    assert contents[2]["parts"] == [{"functionResponse": {"name": "f", "response": {}}}]


def test_signatures_go_back_on_the_parts_that_carried_them() -> None:
    parts = [
        {"type": "reasoning", "content": "hm", "signature": "YQ==", "provider_data": {"thought": True}},
        {"type": "text", "content": "", "provider_data": {"thoughtSignature": "Yg=="}},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA", "provider_data": {"thoughtSignature": "Yw=="}},
        {"type": "server_tool_call", "name": "code_execution", "provider_data": {"executableCode": {"code": "1"}, "thoughtSignature": "ZA=="}},
    ]
    assert body([USER, {"role": "assistant", "parts": parts}])[0]["contents"][1]["parts"] == [
        {"text": "hm", "thought": True, "thoughtSignature": "YQ=="},
        {"text": "", "thoughtSignature": "Yg=="},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thoughtSignature": "Yw=="},
        {"executableCode": {"code": "1"}, "thoughtSignature": "ZA=="},
    ]


def test_what_another_provider_thought_or_ran_is_left_out_and_said() -> None:
    parts = [
        {"type": "reasoning", "content": "a summary", "encrypted": "gAAAA"},
        {"type": "reasoning", "content": "hm", "provider_data": {"block": {}}},
        {"type": "server_tool_call", "name": "web_search", "provider_data": {"block": {}}},
        {"type": "text", "content": "so"},
    ]
    wire, warnings = body([USER, {"role": "assistant", "parts": parts}])
    assert wire["contents"][1]["parts"] == [{"text": "so"}]
    assert len(warnings) == 2 and all("of another provider" in warning for warning in warnings)


def test_of_reasoning_that_another_provider_signed_the_words_are_sent_and_that_is_said() -> None:
    parts = [{"type": "reasoning", "content": text, "signature": "EqQB"} for text in ("hm", "")] + [{"type": "text", "content": "so"}]
    wire, warnings = body([USER, {"role": "assistant", "parts": parts}])
    assert wire["contents"][1]["parts"] == [{"text": "hm", "thought": True}, {"text": "so"}]
    assert warnings == ["the signature of another provider's reasoning: gemini does not take it; it was left out"]
    alone = {"role": "assistant", "parts": [{"type": "reasoning", "signature": "YQ=="}]}
    assert body([USER, alone])[0]["contents"][1]["parts"] == [{"thought": True, "thoughtSignature": "YQ=="}]


def test_gemini_3_gets_a_signature_for_calls_of_the_current_turn_that_have_none() -> None:
    def step(*parts: dict[str, Any]) -> dict[str, Any]:
        return {"role": "assistant", "parts": list(parts)}

    turns: list[dict[str, Any]] = [
        USER,
        step(call("0", "f")),
        {"role": "tool", "parts": [answer("0", {})]},
        USER,
        step(call("1", "f"), call("2", "f")),
        {"role": "tool", "parts": [answer("1", {}), answer("2", {})]},
        step(call("3", "f", provider_data={"thoughtSignature": "c2ln"})),
        {"role": "tool", "parts": [answer("3", {})]},
    ]
    wire, warnings = body(turns, model="gemini-3-flash-preview")
    signed = [[part.get("thoughtSignature") for part in content["parts"]] for content in wire["contents"] if content["role"] == "model"]
    assert signed == [[None], ["skip_thought_signature_validator", None], ["c2ln"]]
    assert len(warnings) == 1 and "did not sign" in warnings[0]
    assert "skip_thought" not in str(body(turns, model="gemini-2.5-pro"))


def test_tools_go_as_json_schema_and_choices_as_modes() -> None:
    def config(choice: Any) -> Any:
        return body([USER], tools=[TOOL], tool_choice=choice)[0].get("toolConfig")

    assert body([USER], tools=[TOOL])[0]["tools"] == [{"functionDeclarations": [{"name": "find", "description": "finds", "parametersJsonSchema": SCHEMA}]}]
    assert [config(choice) for choice in (None, "auto", "none", "required")] == [
        None,
        *({"functionCallingConfig": {"mode": mode}} for mode in ("AUTO", "NONE", "ANY")),
    ]
    assert config({"name": "find"}) == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["find"]}}
    assert body([USER], tool_choice="required")[1] == ["tool_choice without tools: gemini does not take it; it was left out"]


def test_sampling_and_output_stand_in_the_generation_config() -> None:
    sampling = {"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 7, "stop": ["x"], "seed": 3}
    wire, warnings = body([USER], sampling=sampling, output={"json_schema": SCHEMA})
    assert wire["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.9,
        "maxOutputTokens": 7,
        "stopSequences": ["x"],
        "seed": 3,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }
    assert not warnings


def test_output_beside_tools_is_an_instruction_where_the_model_takes_no_schema_then() -> None:
    wire, warnings = body([USER], tools=[TOOL], output={"json_schema": SCHEMA})
    assert "generationConfig" not in wire and '"$defs"' in wire["systemInstruction"]["parts"][0]["text"]
    assert warnings == ["output beside tools: gemini takes the schema as an instruction instead"]
    newer, silent = body([USER], model="gemini-3-pro-preview", tools=[TOOL], output={"json_schema": SCHEMA})
    assert newer["generationConfig"]["responseJsonSchema"] == SCHEMA and not silent


def test_options_are_merged_deeply_and_tools_come_after_the_requests_own() -> None:
    options = {
        "gemini": {
            "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}, "temperature": None},
            "tools": [{"googleSearch": {}}],
            "labels": {"team": "a"},
            "contents": [],
        },
        "mine": {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}},
    }
    wire, warnings = body([USER], tools=[TOOL], sampling={"temperature": 1, "seed": 1}, provider_options=options)
    assert wire["generationConfig"] == {"seed": 1, "thinkingConfig": {"thinkingBudget": 0, "includeThoughts": True}}
    assert [list(tool) for tool in wire["tools"]] == [["functionDeclarations"], ["googleSearch"]]
    assert wire["labels"] == {"team": "a"} and wire["contents"] == [{"role": "user", "parts": [{"text": "hi"}]}]
    assert warnings == ["provider_options.gemini.contents: gemini does not take it; it was left out"]


def test_options_do_not_change_the_request_they_were_merged_into() -> None:
    request = ChatRequestV1.model_validate(
        {
            "messages": [USER],
            "output": {"json_schema": {"type": "object"}},
            "provider_options": {"gemini": {"generationConfig": {"responseJsonSchema": {"title": "T"}}}},
        }
    )
    chat_body(request, "m", kind_of("gemini"))
    assert request.output is not None and request.output.json_schema == {"type": "object"}


def test_an_empty_text_is_left_out_beside_others_but_is_a_turn_where_it_is_alone() -> None:
    empty, told = {"type": "text", "content": ""}, {"type": "text", "content": "x"}
    assert body([user(empty, told)])[0]["contents"][0]["parts"] == [{"text": "x"}]
    assert body([user(empty)])[0]["contents"][0]["parts"] == [{"text": ""}]


def test_what_cached_content_holds_is_not_sent_again_and_that_is_said() -> None:
    options = {"gemini": {"cachedContent": "cachedContents/1"}}
    wire, warnings = body([{"role": "system", "content": "s"}, USER], tools=[TOOL], tool_choice="auto", sampling={"seed": 1}, provider_options=options)
    assert sorted(wire) == ["cachedContent", "contents", "generationConfig"]
    assert len(warnings) == 3 and all("beside cachedContent" in warning for warning in warnings)


def test_a_tool_may_answer_with_media_beside_its_text() -> None:
    answered = [
        {"type": "text", "content": "here"},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA"},
        {"type": "uri", "modality": "document", "uri": "https://x/a.pdf"},
    ]
    turns: list[dict[str, Any]] = [
        USER,
        {"role": "assistant", "parts": [call("1", "f")]},
        {"role": "tool", "parts": [answer("1", answered), answer("1", [1, 2])]},
    ]
    assert [part["functionResponse"] for part in body(turns)[0]["contents"][2]["parts"]] == [
        {
            "id": "1",
            "name": "f",
            "response": {"output": "here"},
            "parts": [
                {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                {"fileData": {"fileUri": "https://x/a.pdf", "mimeType": "application/pdf"}},
            ],
        },
        {"id": "1", "name": "f", "response": {"output": [1, 2]}},
    ]


def test_code_that_was_run_may_be_told_by_hand() -> None:
    code, result = {"language": "PYTHON", "code": "1+1"}, {"outcome": "OUTCOME_OK", "output": "2"}
    parts = [{"type": "server_tool_call", "id": "c", "name": "code_execution", "arguments": code}, {"type": "server_tool_call_response", "response": result}]
    assert body([USER, {"role": "assistant", "parts": parts}])[0]["contents"][1]["parts"] == [
        {"executableCode": {"id": "c", **code}},
        {"codeExecutionResult": result},
    ]
