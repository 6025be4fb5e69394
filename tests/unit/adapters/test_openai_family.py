"""What each provider of the chat-completions family words in its own way: said as it documents it, and brought back in the next turn."""

import json
from typing import Any

import pytest

from catalog.kinds import kind_of, kinds
from contracts.content import ChatMessageV1, ReasoningPart, ServerToolCallPart, ServerToolCallResponsePart, TextPart, ToolCallPart
from contracts.request import ChatRequestV1, EmbedRequestV1
from services.adapters.conversion import Unconvertible
from services.adapters.openai.answers import chat_answer, usage_of
from services.adapters.openai.quirks import Quirks
from services.adapters.openai.stream import StreamedAnswer
from services.adapters.openai.wire import OpenAI
from services.adapters.protocol import Answer, Event

FAMILY = [name for name, kind in kinds().items() if kind.protocol == "openai"]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}


def asked(type_name: str, model: str = "m", options: dict[str, str] | None = None, **fields: Any) -> tuple[str, dict[str, Any], list[str]]:
    """Path, body and warnings of a request."""
    request = ChatRequestV1.model_validate({"messages": [{"role": "user", "content": "hello"}], **fields})
    exchange = OpenAI(kind_of(type_name), "mine", options).chat(request, model)
    return exchange.path, exchange.body, [f"{warning.type}: {warning.message}" for warning in exchange.warnings]


def turn(type_name: str, *parts: dict[str, Any], role: str = "assistant") -> tuple[dict[str, Any], list[str]]:
    """One turn as its wire message."""
    _, body, warnings = asked(type_name, messages=[{"role": role, "parts": list(parts)}])
    (message,) = body["messages"]
    return message, warnings


def answered(message: dict[str, Any], **body: Any) -> Answer:
    outcome = chat_answer({"choices": [{"finish_reason": "stop", "message": {"role": "assistant", **message}}], **body})
    assert isinstance(outcome, Answer) and outcome.message is not None, outcome
    return outcome


def streamed(*chunks: dict[str, Any]) -> Answer:
    stream = StreamedAnswer()
    for chunk in chunks:
        stream.feed(Event(json.dumps(chunk)))
    outcome = stream.result()
    assert isinstance(outcome, Answer) and outcome.message is not None, outcome
    return outcome


def piece(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "r", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def parts(answer: Answer) -> tuple[Any, ...]:
    assert answer.message is not None
    return answer.message.all_parts()


@pytest.mark.parametrize("type_name", FAMILY)
def test_the_settings_of_every_entry_are_known(type_name: str) -> None:
    Quirks.model_validate(kind_of(type_name).settings)


# -- addresses


def test_azure_names_the_deployment_in_the_path() -> None:
    path, body, _ = asked("azure", "gpt 4/o")
    assert path == "/openai/deployments/gpt%204%2Fo/chat/completions?api-version=2024-10-21" and body["model"] == "gpt 4/o"
    assert asked("azure", "d", {"api_version": "2025-01-01-preview"})[0].endswith("?api-version=2025-01-01-preview")
    assert asked("azure_v1", "d")[0] == "/chat/completions"
    assert asked("azure_ai", "d")[0] == "/chat/completions?api-version=2024-05-01-preview"
    embed = OpenAI(kind_of("azure"), "mine", {}).embed(EmbedRequestV1(input=("a",)), "e")
    assert embed.path == "/openai/deployments/e/embeddings?api-version=2024-10-21"


# -- models


@pytest.mark.parametrize("model", ["o1", "o3-mini", "openai/o4-mini", "gpt-5", "gpt-5-nano", "gpt-5.2-pro"])
def test_a_reasoning_model_is_sent_an_effort_for_a_temperature_and_no_stop(model: str) -> None:
    _, body, warnings = asked("openai", model, sampling={"temperature": 0.1, "top_p": 0.9, "stop": ["x"], "max_output_tokens": 5})
    assert body["reasoning_effort"] == "high" and not {"temperature", "top_p", "stop"} & body.keys() and body["max_completion_tokens"] == 5
    assert [warning.partition(":")[0] for warning in warnings] == ["dropped_parameter", "dropped_parameter", "translated_parameter"]
    assert asked("openai", model, sampling={"temperature": 0.9})[1]["reasoning_effort"] == "medium"


def test_the_default_temperature_is_left_out_and_says_nothing_of_an_effort() -> None:
    _, body, warnings = asked("openai", "gpt-5", sampling={"temperature": 1})
    assert not {"temperature", "reasoning_effort"} & body.keys() and warnings[0].startswith("dropped_parameter")


def test_an_effort_set_by_hand_stands_and_the_temperature_is_dropped_with_a_warning() -> None:
    _, body, warnings = asked("openai", "o3", sampling={"temperature": 0.1}, provider_options={"openai": {"reasoning_effort": "low"}})
    assert body["reasoning_effort"] == "low" and "temperature" not in body and warnings[0].startswith("dropped_parameter: sampling.temperature")
    assert "temperature" not in asked("openai", "gpt-5.2", sampling={"temperature": 0.1}, provider_options={"openai": {"reasoning_effort": "low"}})[1]


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5-chat-latest", "openai/gpt-5.1", "gpt-4.1", "m", "foo3-mini"])
def test_other_models_take_a_temperature(model: str) -> None:
    _, body, warnings = asked("openai", model, sampling={"temperature": 0.1})
    assert body["temperature"] == 0.1 and warnings == []


def test_what_provider_options_set_by_hand_passes_even_where_the_model_takes_none() -> None:
    assert asked("openai", "o3", provider_options={"openai": {"temperature": 1}})[1]["temperature"] == 1


# -- sampling, tools, schemas


def test_each_provider_is_sent_its_own_names() -> None:
    sampling = {"max_output_tokens": 5, "seed": 7}
    assert {"max_completion_tokens": 5, "seed": 7}.items() <= asked("openai", sampling=sampling)[1].items()
    assert {"max_tokens": 5, "random_seed": 7}.items() <= asked("mistral", sampling=sampling)[1].items()
    assert "stream_options" not in asked("mistral", stream=True)[1]
    assert asked("groq", stream=True)[1]["stream_options"] == {"include_usage": True}
    voyage = OpenAI(kind_of("voyage"), "mine").embed(EmbedRequestV1(input=("a",), dimensions=256), "voyage-4")
    assert voyage.body == {"model": "voyage-4", "input": ["a"], "output_dimension": 256}


def test_unknown_parameters_pass_through() -> None:
    assert asked("lmstudio", provider_options={"lmstudio": {"repeat_penalty": 1.1, "top_k": 5}})[1].items() >= {"repeat_penalty": 1.1, "top_k": 5}.items()


def test_the_providers_own_tools_stand_beside_ours_and_may_be_chosen() -> None:
    own = {"openrouter": {"tools": [{"type": "openrouter:web_search"}]}}
    _, body, warnings = asked("openrouter", tools=[{"name": "f"}], provider_options=own)
    assert [tool["type"] for tool in body["tools"]] == ["function", "openrouter:web_search"] and warnings == []
    _, body, warnings = asked("openrouter", tool_choice="required", provider_options=own)
    assert body["tool_choice"] == "required" and len(body["tools"]) == 1 and warnings == []


def test_strict_is_said_where_it_is_asked_for() -> None:
    tools = [{"name": "f", "strict": True}, {"name": "g"}]
    assert [tool["function"].get("strict") for tool in asked("openai", tools=tools)[1]["tools"]] == [True, None]


@pytest.mark.parametrize("type_name", ["deepseek", "zai"])
def test_a_schema_is_told_in_words_where_the_provider_knows_json_object_alone(type_name: str) -> None:
    messages = [{"role": "system", "content": "rule"}, {"role": "user", "content": "hello"}]
    _, body, warnings = asked(type_name, messages=messages, output={"json_schema": SCHEMA})
    assert body["response_format"] == {"type": "json_object"}
    assert [message["role"] for message in body["messages"]] == ["system", "system", "user"]
    assert '"additionalProperties":false' in body["messages"][1]["content"] and "JSON" in body["messages"][1]["content"]
    assert [warning.partition(":")[0] for warning in warnings] == ["translated_parameter"]
    assert asked("openai", output={"json_schema": SCHEMA, "description": "a number"})[1]["response_format"]["json_schema"]["description"] == "a number"


def test_groqs_models_without_schemas_are_told_in_words_and_the_others_are_not() -> None:
    def shape(type_name: str, model: str) -> str:
        return str(asked(type_name, model, output={"json_schema": SCHEMA})[1]["response_format"]["type"])

    assert shape("groq", "llama-3.3-70b-versatile") == shape("groq", "qwen/qwen3-32b") == "json_object"
    assert shape("groq", "openai/gpt-oss-120b") == shape("vllm", "llama-3.3-70b-versatile") == "json_schema"


# -- content


def test_several_texts_of_a_system_turn_all_arrive_in_one_string() -> None:
    message, _ = turn("openai", {"type": "text", "content": "first"}, {"type": "text", "content": "second"}, role="system")
    assert message == {"role": "system", "content": "first\n\nsecond"}


def test_documents_go_in_each_providers_block() -> None:
    by_url, blob = {"type": "uri", "modality": "document", "uri": "https://x/y.pdf"}, {"type": "blob", "modality": "document", "mime_type": "application/pdf"}
    pdf = {**blob, "content": "JVBERi0="}

    def block(type_name: str, part: dict[str, Any]) -> Any:
        return turn(type_name, part, role="user")[0]["content"][0]

    assert block("mistral", by_url) == {"type": "document_url", "document_url": "https://x/y.pdf"}
    assert block("perplexity", by_url) == {"type": "file_url", "file_url": {"url": "https://x/y.pdf"}}
    assert block("perplexity", pdf) == {"type": "file_url", "file_url": {"url": "JVBERi0="}}
    assert block("openrouter", by_url)["file"] == {"filename": "document", "file_data": "https://x/y.pdf"}
    assert block("openai", pdf)["file"] == {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
    with pytest.raises(Unconvertible, match="openai takes no document by uri"):
        block("openai", by_url)


def test_marks_of_the_cache_are_sent_where_they_are_known_and_warned_of_elsewhere() -> None:
    mark = {"type": "ephemeral"}
    part = {"type": "text", "content": "long", "provider_data": {"cache_control": mark, "detail": "x"}}
    message, warnings = turn("openrouter", part, role="system")
    assert message["content"] == [{"type": "text", "text": "long", "cache_control": mark}] and warnings == []
    message, warnings = turn("openai", part, role="system")
    assert message["content"] == "long" and "provider_data.cache_control" in warnings[0]
    beside = {"type": "text", "content": "long", "provider_data": {"message": {"cache_control": mark}}}
    assert turn("vercel", beside, role="user")[0] == {"role": "user", "content": "long", "cache_control": mark}
    assert turn("groq", beside, role="user") == ({"role": "user", "content": "long"}, [f"dropped_parameter: provider_data.message.cache_control: {LEFT}"])
    image = {"type": "uri", "modality": "image", "uri": "https://x/y.png", "provider_data": {"detail": "low"}}
    assert turn("openai", image, role="user")[0]["content"] == [{"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}}]


LEFT = "groq does not take it; it was left out"


# -- the next turn


def again(type_name: str, answer: Answer) -> dict[str, Any]:
    """The answer as a turn of the next request."""
    message = ChatMessageV1.model_validate_json(answer.message.model_dump_json() if answer.message else "")
    _, body, _ = asked(type_name, messages=[message, {"role": "user", "content": "go on"}])
    first: dict[str, Any] = body["messages"][0]
    return first


DETAILS = [
    {"type": "reasoning.text", "text": "Let me think.", "signature": "sig", "format": "anthropic-claude-v1", "index": 0},
    {"type": "reasoning.encrypted", "data": "sealed", "format": "openai-responses-v1", "index": 1, "id": "rs_1"},
]


@pytest.mark.parametrize("type_name", ["openrouter", "vercel", "compatible"])
def test_reasoning_details_go_back_as_they_came(type_name: str) -> None:
    answer = answered({"content": "hi", "reasoning": "Let me think.", "reasoning_details": DETAILS})
    assert again(type_name, answer)["reasoning_details"] == DETAILS
    thought = parts(answer)[0]
    assert isinstance(thought, ReasoningPart) and (thought.content, thought.signature, thought.encrypted) == ("Let me think.", "sig", "sealed")


def test_reasoning_details_that_a_stream_sent_in_pieces_go_back_whole() -> None:
    half = [{**DETAILS[0], "text": "Let me", "signature": None}], [{**DETAILS[0], "text": " think."}]
    chunks = [piece(reasoning="Let me", reasoning_details=half[0]), piece(reasoning=" think.", reasoning_details=half[1])]
    answer = streamed(*chunks, piece(reasoning_details=[DETAILS[1]]), piece("stop", content="hi"))
    assert again("openrouter", answer)["reasoning_details"] == DETAILS
    assert parts(answer)[0].content == "Let me think."


@pytest.mark.parametrize(("type_name", "field"), [("deepseek", "reasoning_content"), ("groq", "reasoning"), ("openrouter", "reasoning")])
def test_plain_reasoning_goes_back_under_the_name_the_provider_has_for_it(type_name: str, field: str) -> None:
    assert again(type_name, answered({"content": "hi", field: "hm"})) == {"role": "assistant", "content": "hi", field: "hm"}


def test_reasoning_is_dropped_with_a_warning_where_the_provider_takes_none_back() -> None:
    message, warnings = turn("perplexity", {"type": "reasoning", "content": "hm"}, {"type": "text", "content": "hi"})
    assert message == {"role": "assistant", "content": "hi"} and "part of type 'reasoning'" in warnings[0]


def test_the_thinking_blocks_of_mistral_come_and_go_as_reasoning() -> None:
    blocks = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "hi"}]
    answer = answered({"content": blocks})
    assert [part.content for part in parts(answer)] == ["hm", "hi"] and again("mistral", answer)["content"] == blocks
    assert [part.content for part in parts(streamed(piece(content=[blocks[0]]), piece("stop", content="hi")))] == ["hm", "hi"]


def test_thought_signatures_of_gemini_go_back_with_their_call() -> None:
    extra = {"google": {"thought_signature": "sig"}}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": extra}
    assert again("compatible", answered({"content": None, "tool_calls": [call]}))["tool_calls"] == [call]
    assert again("compatible", streamed(piece("tool_calls", tool_calls=[{"index": 0, **call}])))["tool_calls"] == [call]
    assert "extra_content" not in again("openai", answered({"content": None, "tool_calls": [call]}))["tool_calls"][0]


def test_the_free_text_of_a_custom_tool_is_kept_as_it_is() -> None:
    call = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": '{"not": "arguments"}'}}
    answer = answered({"content": None, "tool_calls": [call]})
    (part,) = parts(answer)
    assert isinstance(part, ToolCallPart) and part.arguments == {} and (part.provider_data or {})["raw_arguments"] == '{"not": "arguments"}'
    assert again("openai", answer)["tool_calls"] == [call]


def test_a_spoken_answer_is_its_transcript_and_is_named_by_its_id_in_the_next_turn() -> None:
    audio = {"id": "audio_1", "data": "UklGRg==", "transcript": "hello", "expires_at": 1}
    answer = answered({"content": None, "audio": audio})
    (part,) = parts(answer)
    assert isinstance(part, TextPart) and part.content == "hello" and part.provider_data == {"audio": audio}
    assert again("openai", answer) == {"role": "assistant", "content": "hello", "audio": {"id": "audio_1"}}
    pieces = [piece(audio={"id": "audio_1", "transcript": "hel"}), piece(audio={"transcript": "lo"}), piece("stop", audio={"data": "UklG"})]
    assert parts(streamed(*pieces, piece(audio={"data": "Rg==", "expires_at": 1})))[0] == part


# -- what stands beside the text


def test_sources_are_kept_beside_the_text() -> None:
    note = [{"type": "url_citation", "url_citation": {"url": "https://x", "start_index": 0, "end_index": 2}}]
    answer = answered({"content": "hi", "annotations": note}, citations=["https://x"], search_results=[{"url": "https://x"}])
    assert parts(answer) == (TextPart(content="hi", provider_data={"annotations": note, "citations": ["https://x"], "search_results": [{"url": "https://x"}]}),)
    chunks = piece(content="hi"), piece(annotations=note), {**piece(), "citations": ["https://a"]}, {**piece("stop"), "citations": ["https://x"]}
    assert parts(streamed(*chunks)) == (TextPart(content="hi", provider_data={"annotations": note, "citations": ["https://x"]}),)


def test_the_tools_that_groq_ran_are_parts_of_their_own() -> None:
    tool = {"index": 0, "type": "search", "arguments": '{"query": "x"}', "output": "found", "search_results": {"results": [1]}}
    expected = (
        ServerToolCallPart(id="executed_0", name="search", arguments={"query": "x"}),
        ServerToolCallResponsePart(id="executed_0", response="found", provider_data={"search_results": {"results": [1]}}),
        TextPart(content="hi"),
    )
    assert parts(answered({"content": "hi", "executed_tools": [tool]})) == expected
    begun = {name: tool[name] for name in ("index", "type", "arguments")}
    chunks = piece(executed_tools=[begun]), piece(executed_tools=[tool]), piece("stop", content="hi")
    assert parts(streamed(*chunks)) == expected


def test_only_the_first_of_several_choices_is_kept_and_that_is_said() -> None:
    choice = {"finish_reason": "stop", "message": {"content": "first"}}
    outcome = chat_answer({"choices": [choice, {"finish_reason": "stop", "message": {"content": "second"}}]})
    assert isinstance(outcome, Answer) and parts(outcome) == (TextPart(content="first"),) and outcome.warnings[0].type == "further_choices"
    other = {"choices": [{"index": 1, "delta": {"content": "second"}, "finish_reason": "stop"}]}
    outcome = streamed(piece(content="fir"), other, piece("stop", content="st"))
    assert parts(outcome) == (TextPart(content="first"),) and outcome.warnings[0].type == "further_choices"


def test_probabilities_of_tokens_take_nothing_from_the_text() -> None:
    chunk = piece(content="hi")
    chunk["choices"][0]["logprobs"] = {"content": [{"token": "hi", "logprob": -0.1}]}
    assert parts(streamed(chunk, piece("stop"))) == (TextPart(content="hi"),)


@pytest.mark.parametrize(
    ("reason", "ours"), [("insufficient_system_resource", "error"), ("sensitive", "content_filter"), ("network_error", "error"), ("eos", "stop")]
)
def test_stop_reasons_that_only_one_provider_has(reason: str, ours: str) -> None:
    outcome = chat_answer({"choices": [{"finish_reason": reason, "message": {"content": "hi"}}]})
    assert isinstance(outcome, Answer) and outcome.finish_reason == ours


# -- usage and cost


@pytest.mark.parametrize(
    ("usage", "read", "output"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 3, "prompt_cache_hit_tokens": 4}, 4, 3),
        ({"prompt_tokens": 10, "completion_tokens": 3, "num_cached_tokens": 4}, 4, 3),
        ({"prompt_tokens": 10, "completion_tokens": 3, "cached_tokens": 4}, 4, 3),
        ({"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 15, "completion_tokens_details": {"reasoning_tokens": 2}}, None, 5),
        ({"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13, "completion_tokens_details": {"reasoning_tokens": 2}}, None, 3),
    ],
)
def test_tokens_are_read_in_each_providers_words(usage: dict[str, Any], read: int | None, output: int) -> None:
    told = usage_of(usage)
    assert (told.input_tokens, told.cache_read_tokens, told.output_tokens) == (10, read, output)


def test_groqs_streams_name_the_usage_in_a_place_of_their_own() -> None:
    last = {**piece("stop"), "x_groq": {"id": "r", "usage": {"prompt_tokens": 5, "completion_tokens": 2}}}
    assert streamed(piece(content="hi"), last).usage.input_tokens == 5


@pytest.mark.parametrize("usage", [{"cost": 0.015}, {"cost": {"total_cost": 0.015}}, {"cost_in_usd_ticks": 150000000}])
def test_the_cost_that_a_provider_names_is_kept(usage: dict[str, Any]) -> None:
    assert str(answered({"content": "hi"}, usage={"prompt_tokens": 1, **usage}).cost_usd).rstrip("0") == "0.015"
