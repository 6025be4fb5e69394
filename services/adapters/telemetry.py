"""How a dial looks in a trace: names and attributes by OpenTelemetry's GenAI conventions, built for sampled calls only."""

from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.trace import Span
from pydantic_core import to_json

from bus.telemetry import request_facts
from contracts.call import CallV1
from contracts.content import BlobPart, ChatMessageV1, Part
from contracts.request import ChatRequestV1, EmbedRequestV1
from observability.tracing import Fact, failed

from .attempts import usage_of
from .protocol import Answer, Failure

USAGE = {
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cache_read_tokens",
    "gen_ai.usage.cache_creation.input_tokens": "cache_write_tokens",
    "gen_ai.usage.reasoning.output_tokens": "reasoning_tokens",
}
TEXT_KEPT = 32_768
"""Characters of one text: a span is no archive."""


def operation_of(call: CallV1) -> str:
    return "embeddings" if call.embed is not None else "chat"


def asked(call: CallV1, server: Mapping[str, Fact]) -> dict[str, Fact]:
    """What is asked of whom, without what is said. `server`: the provider's name and address, as `Providers.server` gives them."""
    facts: dict[str, Fact | None] = {
        "gen_ai.operation.name": operation_of(call),
        "gen_ai.request.model": call.model,
        "headrace.provider": call.provider,
        "headrace.call.n": call.n,
        **server,
        **request_facts(call.origin),
        **(_chat(call.chat, call) if call.chat is not None else {}),
        **(_embed(call.embed) if call.embed is not None else {}),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _chat(chat: ChatRequestV1, call: CallV1) -> dict[str, Fact | None]:
    return {
        "gen_ai.output.type": "json" if call.origin.output is not None else None,
        "gen_ai.request.max_tokens": chat.sampling.max_output_tokens,
        "gen_ai.request.temperature": chat.sampling.temperature,
        "gen_ai.request.top_p": chat.sampling.top_p,
        "gen_ai.request.seed": chat.sampling.seed,
        "gen_ai.request.stream": chat.stream or None,
    }


def _embed(embed: EmbedRequestV1) -> dict[str, Fact | None]:
    return {"gen_ai.embeddings.dimension.count": embed.dimensions, "gen_ai.request.encoding_formats": [embed.encoding]}


def answered(span: Span, outcome: Answer | Failure, first_token_s: float | None) -> None:
    """How it ended. What is unknown is left out; a failure says its type and no word of the provider's."""
    usage = usage_of(outcome)
    facts: dict[str, Fact | None] = {name: getattr(usage, field) for name, field in USAGE.items()}
    facts["gen_ai.response.time_to_first_chunk"] = first_token_s
    if isinstance(outcome, Answer):
        facts["gen_ai.response.id"] = outcome.response_id
        facts["gen_ai.response.model"] = outcome.response_model
        facts["gen_ai.response.finish_reasons"] = [outcome.finish_reason] if outcome.finish_reason else None
    else:
        failed(outcome.type)
    span.set_attributes({name: value for name, value in facts.items() if value is not None})


def captured_question(chat: ChatRequestV1) -> dict[str, Fact]:
    """The conversation as JSON; what the system says first stands apart, as most providers take it."""
    leading = next((at for at, message in enumerate(chat.messages) if message.role != "system"), len(chat.messages))
    system = [part for message in chat.messages[:leading] for part in _parts(message.all_parts())]
    turns = [_message(message) for message in chat.messages[leading:]]
    facts: dict[str, Fact] = {"gen_ai.input.messages": to_json(turns).decode()}
    return {**facts, "gen_ai.system_instructions": to_json(system).decode()} if system else facts


def captured_answer(outcome: Answer | Failure) -> dict[str, Fact]:
    """The answer as JSON, or what had arrived of it."""
    message = outcome.message if isinstance(outcome, Answer) else outcome.partial
    if message is None:
        return {}
    reason = (outcome.finish_reason or "stop") if isinstance(outcome, Answer) else "error"
    return {"gen_ai.output.messages": to_json([{**_message(message), "finish_reason": reason}]).decode()}


def _message(message: ChatMessageV1) -> dict[str, Any]:
    return {"role": message.role, "parts": _parts(message.all_parts())}


def _parts(parts: Iterable[Part]) -> list[dict[str, Any]]:
    return [_part(part) for part in parts]


def _part(part: Part) -> dict[str, Any]:
    """What the conventions know of a part; long texts are cut, bytes are counted."""
    said = part.model_dump(exclude_none=True, exclude={"provider_data", "signature", "encrypted"})
    if isinstance(part, BlobPart):
        return {**said, "content": f"{len(part.content)} characters of base64, not captured"}
    content = said.get("content")
    return {**said, "content": content[:TEXT_KEPT]} if isinstance(content, str) and len(content) > TEXT_KEPT else said
