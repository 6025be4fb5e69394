"""What a request becomes on the Converse wire, what is translated or left out with a warning, and what is refused by name."""

import json
from typing import Any

import pytest

from catalog.kinds import kind_of
from contracts.request import ChatRequestV1
from services.adapters.bedrock.convert import Asked, converse_body
from services.adapters.bedrock.wire import Converse
from services.adapters.conversion import Unconvertible
from tests.corpus.converse.asked import accepted

CLAUDE, NEW, NOVA = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "global.anthropic.claude-opus-4-8", "us.amazon.nova-lite-v1:0"
TOOL = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"], "description": "D"}


def ask(model: str = CLAUDE, messages: Any = None, **fields: Any) -> Asked:
    request = ChatRequestV1.model_validate({"messages": messages or [{"role": "user", "content": "Q"}], **fields})
    asked = converse_body(request, model, kind_of("bedrock"), "aws")
    assert accepted(asked.body) is None
    return asked


def said(asked: Asked) -> list[str]:
    return [f"{warning.type}: {warning.message}" for warning in asked.warnings]


def turn(role: str, *parts: Any) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": part} if isinstance(part, str) else part for part in parts]}


def test_all_system_messages_arrive_and_turns_alternate() -> None:
    messages = [{"role": "system", "content": "A"}, {"role": "user", "content": "Q"}, {"role": "user", "content": "R"}, {"role": "system", "content": "B"}]
    asked = ask(messages=messages)
    assert asked.body["system"] == [{"text": "A"}, {"text": "B"}] and asked.body["messages"] == [{"role": "user", "content": [{"text": "Q"}, {"text": "R"}]}]
    assert "middle of the conversation" in said(asked)[0]
    assert [message["role"] for message in ask(NEW, messages).body["messages"]] == ["user", "system"]


def test_cache_points_follow_their_part_and_tools_of_the_options_follow_ours() -> None:
    point = {"type": "default", "ttl": "1h"}
    marked = {"type": "text", "content": "S", "provider_data": {"cachePoint": point}}
    options = {"toolConfig": {"tools": [{"cachePoint": {"type": "default"}}, {"systemTool": {"name": "nova_grounding"}}]}}
    body = ask(messages=[turn("system", marked), turn("user", "Q")], tools=[TOOL], provider_options={"bedrock": options}).body
    assert body["system"] == [{"text": "S"}, {"cachePoint": point}]
    assert [next(iter(tool)) for tool in body["toolConfig"]["tools"]] == ["toolSpec", "cachePoint", "systemTool"]


def test_results_by_text_json_and_parts() -> None:
    image = {"type": "blob", "modality": "image", "mime_type": "image/jpeg", "content": "aW1n"}
    results = [
        {"type": "tool_call_response", "id": "a b", "response": "one"},
        {"type": "tool_call_response", "id": "b", "response": {"n": 1}, "is_error": True},
        {"type": "tool_call_response", "id": "c", "response": [1, 2]},
        {"type": "tool_call_response", "id": "d", "response": [{"type": "text", "content": "see"}, image]},
    ]
    blocks = [block["toolResult"] for block in ask(messages=[turn("tool", *results)]).body["messages"][0]["content"]]
    assert [block["content"] for block in blocks[:3]] == [[{"text": "one"}], [{"json": {"n": 1}}], [{"text": "[1,2]"}]]
    assert blocks[0]["toolUseId"] == "a_b" and blocks[1]["status"] == "error" and "status" not in blocks[0]
    assert blocks[3]["content"] == [{"text": "see"}, {"image": {"format": "jpeg", "source": {"bytes": "aW1n"}}}]


def test_media_by_bytes_and_by_s3() -> None:
    parts = [
        {"type": "blob", "modality": "document", "mime_type": "text/plain; charset=utf-8", "content": "aGk=", "provider_data": {"filename": "my_notes/2.txt"}},
        {"type": "uri", "modality": "video", "uri": "s3://b/v.mp4", "provider_data": {"bucketOwner": "123456789012"}},
        {"type": "uri", "modality": "image", "uri": "data:image/webp;base64,aGk="},
        {"type": "uri", "modality": "image", "uri": "s3://b/cat.jpg"},
    ]
    document, video, image, stored = ask(messages=[turn("user", *parts)]).body["messages"][0]["content"]
    assert document == {"document": {"format": "txt", "name": "my notes 2 txt", "source": {"bytes": "aGk="}}}
    assert video == {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://b/v.mp4", "bucketOwner": "123456789012"}}}}
    assert image["image"] == {"format": "webp", "source": {"bytes": "aGk="}} and stored["image"]["format"] == "jpeg"


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ({"type": "uri", "modality": "image", "uri": "https://a.test/x.png"}, "fetches s3:// alone"),
        ({"type": "file", "modality": "document", "file_id": "f"}, "keeps no files"),
        ({"type": "blob", "modality": "image", "mime_type": "image/tiff", "content": "eA=="}, "'image/tiff'"),
    ],
)
def test_what_the_wire_cannot_say_is_refused_by_its_place_and_name(part: Any, names: str) -> None:
    with pytest.raises(Unconvertible, match=rf"messages\.0\.parts\.1: .*{names}"):
        ask(messages=[turn("user", "see", part)])


def test_reasoning_without_a_signature_goes_back_to_models_that_sign_nothing() -> None:
    messages = [turn("user", "Q"), turn("assistant", {"type": "reasoning", "content": "hm"}, "A"), turn("user", "R")]
    dropped, kept = ask(messages=messages), ask("openai.gpt-oss-120b-1:0", messages)
    assert dropped.body["messages"][1]["content"] == [{"text": "A"}] and "without a signature" in said(dropped)[0]
    assert kept.body["messages"][1]["content"][0] == {"reasoningContent": {"reasoningText": {"text": "hm"}}} and not kept.warnings


def test_sampling_where_the_model_takes_it_and_as_an_effort_where_it_does_not() -> None:
    plain = ask(NOVA, sampling={"temperature": 0.2, "top_p": 0.9, "max_output_tokens": 5, "stop": ["X"], "seed": 1})
    assert plain.body["inferenceConfig"] == {"maxTokens": 5, "stopSequences": ["X"], "temperature": 0.2, "topP": 0.9} and "seed" in said(plain)[0]
    translated = ask(NEW, sampling={"temperature": 0.2})
    assert translated.body["outputConfig"] == {"effort": "high"} and "inferenceConfig" not in translated.body and translated.warnings
    beside = ask(sampling={"temperature": 0.2}, provider_options={"bedrock": {"additionalModelRequestFields": {"thinking": {"type": "adaptive"}}}})
    assert beside.body["inferenceConfig"] == {} and "beside thinking" in said(beside)[0]


def test_tool_choices() -> None:
    choices = [ask(tools=[TOOL], tool_choice=choice).body.get("toolConfig", {}).get("toolChoice") for choice in ("auto", "required", {"name": "look"}, "none")]
    assert choices == [{"auto": {}}, {"any": {}}, {"tool": {"name": "look"}}, None]
    assert "toolConfig" not in ask(tools=[TOOL], tool_choice="none").body
    used = [turn("user", "Q"), turn("assistant", {"type": "tool_call", "id": "a", "name": "look", "arguments": {}})]
    kept = ask(messages=used, tools=[TOOL], tool_choice="none")
    assert "toolConfig" in kept.body and "'none' beside earlier tool calls" in said(kept)[0]
    llama = ask("us.meta.llama4-maverick-17b-instruct-v1:0", tools=[TOOL], tool_choice="required")
    assert llama.body["toolConfig"]["toolChoice"] == {"auto": {}} and llama.warnings


def test_structured_output_is_native_where_the_model_has_it_and_a_forced_tool_elsewhere() -> None:
    native = ask(output={"name": "answer", "json_schema": SCHEMA})
    wanted = native.body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert wanted["name"] == "answer" and wanted["description"] == "D" and native.output_tool is None
    assert json.loads(wanted["schema"])["properties"]["n"] == {"type": "integer", "description": "(minimum: 1)"} and "minimum" in said(native)[0]
    forced = ask(NOVA, output={"name": "answer", "json_schema": SCHEMA})
    assert forced.output_tool == "answer" and forced.body["toolConfig"]["toolChoice"] == {"tool": {"name": "answer"}} and "a tool 'answer'" in said(forced)[0]


def test_options_of_the_provider_pass_through() -> None:
    options = {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}, "inferenceConfig": {"topP": 0.3}, "messages": []}
    asked = ask(sampling={"max_output_tokens": 7}, provider_options={"bedrock": options, "aws": {"serviceTier": {"type": "priority"}}})
    assert asked.body["guardrailConfig"]["guardrailIdentifier"] == "g" and asked.body["serviceTier"] == {"type": "priority"}
    assert asked.body["inferenceConfig"] == {"maxTokens": 7, "topP": 0.3} and asked.body["messages"] and "messages" in said(asked)[0]


def test_a_model_that_is_an_arn_is_encoded_in_the_path() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    request = ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "Q"}], "stream": True})
    assert (
        Converse(kind_of("bedrock")).chat(request, arn).path
        == "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc/converse-stream"
    )


def test_results_come_before_what_the_user_says_beside_them() -> None:
    content = ask(messages=[turn("user", "look:", {"type": "tool_call_response", "id": "a", "response": "r"})]).body["messages"][0]["content"]
    assert [next(iter(block)) for block in content] == ["toolResult", "text"]
