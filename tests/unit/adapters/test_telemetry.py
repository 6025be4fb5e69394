"""What a dial's span says: the conventions' names, nothing that is unknown, and no word of anybody's unless it was asked for."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes.gen_ai_attributes import GenAiProviderNameValues

from catalog.kinds import kinds
from contracts.config import ConfigV1
from contracts.content import ChatMessageV1
from contracts.outcome import UsageV1
from contracts.request import ChatRequestV1, EmbedRequestV1
from observability.tracing import enter, received, record_with, span
from services.adapters import telemetry
from services.adapters.protocol import Answer, Failure
from services.adapters.providers import Providers
from tests.support.recorder import recorder
from tests.unit.adapters.test_attempts import call

SAMPLED = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
PRIVATE = "canary"


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    record_with(recorder(exporter))
    yield exporter
    record_with(None)


def ended(exporter: InMemorySpanExporter, outcome: Answer | Failure, first_token_s: float | None = None) -> ReadableSpan:
    enter(received(SAMPLED))
    with span("chat m", "client") as current:
        assert current is not None
        telemetry.answered(current, outcome, first_token_s)
    [one] = exporter.get_finished_spans()
    return one


def chat(**fields: Any) -> ChatRequestV1:
    return ChatRequestV1.model_validate({"messages": [{"role": "user", "content": PRIVATE}], **fields})


def test_unknown_usage_is_left_out_and_never_zero(exported: InMemorySpanExporter) -> None:
    one = ended(exported, Answer(finish_reason="stop", usage=UsageV1(output_tokens=0, cache_read_tokens=7)))
    assert dict(one.attributes or {}) == {
        "gen_ai.usage.output_tokens": 0,
        "gen_ai.usage.cache_read.input_tokens": 7,
        "gen_ai.response.finish_reasons": ("stop",),
    }


def test_a_failure_says_its_type_and_no_word_of_the_providers(exported: InMemorySpanExporter) -> None:
    one = ended(exported, Failure("content_filtered", f"refused: {PRIVATE}", f"code-{PRIVATE}", partial=ChatMessageV1(role="assistant", content=PRIVATE)))
    assert dict(one.attributes or {}) == {"error.type": "content_filtered"}
    assert not one.status.is_ok
    assert PRIVATE not in one.to_json()


def test_time_to_the_first_chunk_is_told_of_what_streamed(exported: InMemorySpanExporter) -> None:
    assert dict(ended(exported, Answer(), 0.25).attributes or {}) == {"gen_ai.response.time_to_first_chunk": 0.25}


def test_what_is_asked_has_no_word_of_the_conversation() -> None:
    tools = [{"name": PRIVATE, "parameters": {"title": PRIVATE}}]
    sampling = {"temperature": 0.0, "top_p": 0.9, "max_output_tokens": 5, "seed": 7, "stop": [PRIVATE]}
    asked = telemetry.asked(call().model_copy(update={"chat": chat(tools=tools, sampling=sampling)}), {"gen_ai.provider.name": "openai"})
    assert asked["gen_ai.request.temperature"] == 0.0
    assert (asked["gen_ai.request.top_p"], asked["gen_ai.request.max_tokens"], asked["gen_ai.request.seed"]) == (0.9, 5, 7)
    assert "gen_ai.request.stream" not in asked
    assert PRIVATE not in repr(asked)


def test_embeddings_are_asked_by_their_own_operation() -> None:
    embed = EmbedRequestV1(input=(PRIVATE,), dimensions=8, encoding="base64")
    embedding = call().model_copy(update={"embed": embed})
    asked = telemetry.asked(embedding, {})
    assert telemetry.operation_of(embedding) == asked["gen_ai.operation.name"] == "embeddings"
    assert (asked["gen_ai.embeddings.dimension.count"], asked["gen_ai.request.encoding_formats"]) == (8, ["base64"])
    assert PRIVATE not in repr(asked)


def test_captured_content_has_the_conventions_shapes() -> None:
    arguments = {"city": "Paris"}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "parts": [{"type": "blob", "modality": "image", "mime_type": "image/png", "content": "QUJD"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "weather", "arguments": arguments, "provider_data": {"signature": "s"}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "rain"}]},
        {"role": "system", "content": "Now answer."},
        {"role": "user", "content": "x" * 40_000},
    ]
    facts = telemetry.captured_question(ChatRequestV1.model_validate({"messages": messages}))
    assert json.loads(str(facts["gen_ai.system_instructions"])) == [{"type": "text", "content": "Be brief."}]
    image, asked, told, system, long = json.loads(str(facts["gen_ai.input.messages"]))
    assert image["parts"] == [{"type": "blob", "modality": "image", "mime_type": "image/png", "content": "4 characters of base64, not captured"}]
    assert asked["parts"] == [{"type": "tool_call", "id": "1", "name": "weather", "arguments": arguments}]
    assert told["parts"] == [{"type": "tool_call_response", "id": "1", "response": "rain", "is_error": False}]
    assert system == {"role": "system", "parts": [{"type": "text", "content": "Now answer."}]}
    assert len(long["parts"][0]["content"]) == telemetry.TEXT_KEPT


def test_what_had_arrived_of_a_broken_answer_is_captured_as_an_error() -> None:
    partial = ChatMessageV1(role="assistant", content="Par")
    facts = telemetry.captured_answer(Failure("truncated_stream", "cut", partial=partial))
    [message] = json.loads(str(facts["gen_ai.output.messages"]))
    assert (message["finish_reason"], message["parts"][0]["content"]) == ("error", "Par")
    assert telemetry.captured_answer(Failure("timeout", "late")) == {}


def test_opentelemetrys_own_words_for_providers_are_used_where_it_has_them() -> None:
    told = {kind.telemetry_name for kind in kinds().values()}
    known = {value.value for value in GenAiProviderNameValues}
    assert known - told == {"gcp.gen_ai", "ibm.watsonx.ai"}, "any Google endpoint, and a provider that we do not know"


def test_a_provider_is_told_by_host_and_port_alone_and_tenants_capture_only_if_they_say_so() -> None:
    base_url = "http://user:secret@127.0.0.1:8000/v1?key=secret"
    document = {
        "version": 2,
        "providers": [{"id": "house", "type": "mistral", "base_url": base_url, "models": [{"id": "m"}]}],
        "tenants": {"open": {"capture_content": True}, "acme": {}},
    }

    async def taken() -> Providers:
        providers = Providers({})
        await providers.start()
        providers.take(ConfigV1.model_validate(document), 1)
        await providers.close()
        return providers

    providers = asyncio.run(taken())
    assert providers.server("house") == {"gen_ai.provider.name": "mistral_ai", "server.address": "127.0.0.1", "server.port": 8000}
    assert (providers.captures("open"), providers.captures("acme"), providers.captures("other")) == (True, False, False)
