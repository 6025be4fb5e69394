"""Cohere's v2 chat and embeddings: what recordings ask and say, by the official SDK's own types."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from cohere.core.unchecked_base_model import construct_type
from cohere.types import ChatMessageV2, EmbedByTypeResponse, ToolV2, Usage
from cohere.v2.types.v2chat_response import V2ChatResponse
from cohere.v2.types.v2chat_stream_response import V2ChatStreamResponse
from pydantic import TypeAdapter, ValidationError

from contracts.content import BlobPart, ChatMessageV1, Part, ReasoningPart, TextPart, ToolCallPart, ToolCallResponsePart, ToolV1, UriPart
from contracts.request import ChatRequestV1, EmbedRequestV1, OutputV1, SamplingV1
from services.adapters.protocol import Answer
from tests.corpus.recording import Case, Expected, ExpectedFailure, NotApplicable, Recording, ToolCall

FINISH = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_call"}
FAILURES = {400: "invalid_request", 401: "auth", 402: "quota_exhausted", 403: "auth", 404: "invalid_request", 429: "rate_limited", 500: "unavailable"}
OTHERS = {"count_tokens": "token counting", "models": "listing of models", "batch": "batch API"}
ALLOWED: Mapping[str, str] = {
    "nulls and `stream: false`": "what is left out is null, and not streamed",
    "content as text or as one block": "Cohere takes both",
    "empty content of the model's turn": "a turn of calls alone has none",
    "embedding_types float": "the default",
    "arguments as JSON": "the same object, spaced otherwise",
}
TOP_LEVEL = frozenset(
    {"model", "messages", "tools", "stream", "tool_choice", "response_format", "max_tokens", "temperature", "p", "k", "seed", "stop_sequences"}
)
FURTHER = frozenset(
    {"documents", "citation_options", "safety_mode", "thinking", "strict_tools", "logprobs", "frequency_penalty", "presence_penalty", "priority"}
)


def claims(recording: Recording) -> bool:
    return recording.provider == "cohere"


def case(recording: Recording) -> Case | NotApplicable:
    base, _, method = recording.route.rpartition("/v2/")
    if "/v2/" not in recording.route:
        return NotApplicable(OTHERS.get(recording.kind, "Cohere's API of version 1: version 2 is spoken"))
    asked = {name: value for name, value in recording.request.items() if value is not None}
    if method == "embed":
        request: ChatRequestV1 | EmbedRequestV1 | NotApplicable = embed_request(asked)
    elif method == "chat":
        request = chat_request(asked)
    else:
        return NotApplicable(f"{method}: neither chat nor embeddings")
    return request if isinstance(request, NotApplicable) else Case("cohere", asked["model"], request, base_path=base)


def embed_request(asked: dict[str, Any]) -> EmbedRequestV1 | NotApplicable:
    if "texts" not in asked:
        return NotApplicable("embedding of images: the contract embeds texts")
    if "float" not in asked.get("embedding_types", ["float"]):
        return NotApplicable("embeddings in bytes or bits: the contract holds numbers")
    further = {name: value for name, value in asked.items() if name not in ("model", "texts", "output_dimension", "embedding_types")}
    return EmbedRequestV1(input=tuple(asked["texts"]), dimensions=asked.get("output_dimension"), provider_options={"cohere": further})


def chat_request(asked: dict[str, Any]) -> ChatRequestV1:
    rest = dict(asked)
    for name in ("model", "messages"):
        del rest[name]
    names = {"temperature": "temperature", "p": "top_p", "max_tokens": "max_output_tokens", "stop_sequences": "stop", "seed": "seed"}
    sampling = SamplingV1.model_validate({ours: rest.pop(theirs) for theirs, ours in names.items() if theirs in rest and (theirs, rest[theirs]) != ("p", 0)})
    schema = rest.get("response_format", {}).get("json_schema")
    output = OutputV1(json_schema=schema) if schema and not rest.get("tools") else None
    if output is not None:
        del rest["response_format"]
    functions = [tool["function"] for tool in rest.pop("tools", ())]
    choice = {"REQUIRED": "required", "NONE": "none"}.get(rest.get("tool_choice", "")) if functions else None
    if choice is not None:
        del rest["tool_choice"]
    return ChatRequestV1.model_validate(
        {
            "messages": [message_of(wire) for wire in asked["messages"]],
            "tools": [ToolV1(name=one["name"], description=one.get("description"), parameters=one["parameters"]) for one in functions],
            "tool_choice": choice,
            "output": output,
            "sampling": sampling,
            "stream": rest.pop("stream", False),
            "provider_options": {"cohere": rest} if rest else {},
        }
    )


def message_of(wire: dict[str, Any]) -> ChatMessageV1:
    if wire["role"] == "tool":
        return ChatMessageV1(role="tool", parts=(ToolCallResponsePart(id=wire["tool_call_id"], response=wire["content"]),))
    plan = [ReasoningPart(content=wire["tool_plan"], provider_data={"tool_plan": True})] if wire.get("tool_plan") else []
    calls = [
        ToolCallPart(id=call["id"], name=call["function"]["name"], arguments=json.loads(call["function"]["arguments"] or "{}"))
        for call in wire.get("tool_calls") or ()
    ]
    parts = [*plan, *(part_of(block) for block in blocks(wire.get("content"))), *calls]
    if wire.get("citations") and parts:
        parts[0] = parts[0].model_copy(update={"provider_data": {**(parts[0].provider_data or {}), "citations": wire["citations"]}})
    return ChatMessageV1.model_validate({"role": wire["role"], "parts": tuple(parts) or (TextPart(content=""),)})


def blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def part_of(block: dict[str, Any]) -> Part:
    match block["type"]:
        case "thinking":
            return ReasoningPart(content=block["thinking"])
        case "image_url" if block["image_url"]["url"].startswith("data:"):
            declared, _, data = block["image_url"]["url"].removeprefix("data:").partition(";base64,")
            return BlobPart(modality="image", mime_type=declared, content=data)
        case "image_url":
            detail = block["image_url"].get("detail")
            return UriPart(modality="image", uri=block["image_url"]["url"], provider_data={"detail": detail} if detail else None)
        case _:
            return TextPart(content=block["text"])


def expected(recording: Recording) -> Expected | ExpectedFailure | NotApplicable:
    if recording.status != 200:
        too_long = "too many tokens" in recording.text().lower() and recording.status == 400
        header = recording.response_headers.get("retry-after")
        known = FAILURES.get(recording.status, "invalid_request" if recording.status < 500 else "unavailable")
        return ExpectedFailure("context_too_long" if too_long else known, float(header) if header else None)
    if recording.kind == "embed":
        return vectors_of(cast(EmbedByTypeResponse, construct_type(type_=EmbedByTypeResponse, object_=json.loads(recording.text()))))
    if recording.request.get("stream"):
        lines = [line[5:].strip() for line in recording.text().splitlines() if line.startswith("data:")]
        return told([construct_type(type_=cast(type[Any], V2ChatStreamResponse), object_=json.loads(line)) for line in lines if line != "[DONE]"])
    return answered(cast(V2ChatResponse, construct_type(type_=V2ChatResponse, object_=json.loads(recording.text()))))


def vectors_of(response: EmbedByTypeResponse) -> Expected:
    vectors = tuple(tuple(vector) for vector in response.embeddings.float_ or ())
    billed = response.meta.billed_units if response.meta else None
    tokens = None if billed is None or billed.input_tokens is None else int(billed.input_tokens)
    return Expected(embeddings=vectors, usage={"input_tokens": tokens, "output_tokens": 0})


def answered(response: V2ChatResponse) -> Expected:
    message = response.message
    content = message.content or []
    calls = tuple(
        ToolCall(call.function.name or "", json.loads(call.function.arguments or "{}"), call.id)
        for call in message.tool_calls or ()
        if call.function is not None
    )
    return Expected(
        text="".join(one.text for one in content if one.type == "text"),
        reasoning=(message.tool_plan or "") + "".join(one.thinking for one in content if one.type == "thinking"),
        tool_calls=calls,
        finish_reason=FINISH.get(response.finish_reason, "error"),
        usage=usage_of(response.usage),
        response_id=response.id,
        extra={"citations": [citation.text for citation in message.citations or ()]},
    )


def usage_of(usage: Usage | None) -> dict[str, int | None]:
    """What is billed: `tokens` counts what Cohere puts around a prompt, too."""
    billed = usage.billed_units if usage is not None else None
    if billed is None:
        return {}
    return {"input_tokens": int(billed.input_tokens or 0), "output_tokens": int(billed.output_tokens or 0)}


def told(events: list[Any]) -> Expected | ExpectedFailure:
    """The message that the events make."""
    text, reasoning, citations = [], [], []
    calls: dict[int, list[str]] = {}
    named: dict[int, tuple[str, str]] = {}
    for event in events:
        message: Any = getattr(getattr(event, "delta", None), "message", None)
        if event.type in ("content-start", "content-delta"):
            text.append(message.content.text or "")
            reasoning.append(getattr(message.content, "thinking", None) or "")
        elif event.type == "tool-plan-delta":
            reasoning.append(message.tool_plan or "")
        elif event.type == "tool-call-start":
            named[event.index] = (message.tool_calls.function.name, message.tool_calls.id)
            calls[event.index] = [message.tool_calls.function.arguments or ""]
        elif event.type == "tool-call-delta":
            calls[event.index].append(message.tool_calls.function.arguments or "")
        elif event.type == "citation-start":
            citations.append(message.citations.text)
    start, end = events[0], events[-1]
    if end.type != "message-end":
        return ExpectedFailure("truncated_stream")
    return Expected(
        text="".join(text),
        reasoning="".join(reasoning),
        tool_calls=tuple(ToolCall(named[at][0], json.loads("".join(pieces) or "{}"), named[at][1]) for at, pieces in sorted(calls.items())),
        finish_reason=FINISH.get(end.delta.finish_reason, "error"),
        usage=usage_of(end.delta.usage),
        response_id=start.id,
        streamed=True,
        extra={"citations": citations},
    )


def extra(answer: Answer) -> Mapping[str, Any]:
    """What the texts cite."""
    parts = answer.message.all_parts() if answer.message is not None else ()
    return {"citations": [citation["text"] for part in parts for citation in (part.provider_data or {}).get("citations", ())]}


def differences(recorded_request: Any, sent_request: Any) -> list[str]:
    """Where the requests differ beyond what ALLOWED names."""
    return list(_differ("", canonical(recorded_request), canonical(sent_request)))


def canonical(request: Any) -> Any:
    wire = {name: value for name, value in request.items() if value is not None and (name, value) != ("stream", False)}
    if "texts" in wire:
        wire.setdefault("embedding_types", ["float"])
    if "messages" in wire:
        wire["messages"] = [turn(message) for message in wire["messages"]]
    return wire


def turn(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    if message["role"] != "tool":
        content = [block for block in blocks(content) if message["role"] != "assistant" or block.get("text") != ""]
    calls = [
        {**call, "function": {**call["function"], "arguments": json.loads(call["function"]["arguments"] or "{}")}} for call in message.get("tool_calls") or ()
    ]
    return {**{name: value for name, value in message.items() if value}, "content": content, "tool_calls": calls}


def _differ(where: str, recorded: Any, sent: Any) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(sent, dict):
        for name in sorted({*recorded, *sent}):
            yield from _differ(f"{where}.{name}", recorded.get(name), sent.get(name))
    elif isinstance(recorded, list) and isinstance(sent, list) and len(recorded) == len(sent):
        for at, (one, other) in enumerate(zip(recorded, sent, strict=True)):
            yield from _differ(f"{where}[{at}]", one, other)
    elif recorded != sent:
        yield f"{where}: recorded {str(recorded)[:200]!r}, sent {str(sent)[:200]!r}"


def accepted(sent_request: Any) -> str | None:
    """What the SDK's types say of the body."""
    if "texts" in sent_request:
        unknown = set(sent_request) - {"model", "texts", "input_type", "embedding_types", "output_dimension", "truncate", "max_tokens", "priority"}
        return f"unknown fields {sorted(unknown)}" if unknown else None
    if unknown := set(sent_request) - TOP_LEVEL - FURTHER:
        return f"unknown fields {sorted(unknown)}"
    try:
        TypeAdapter(list[ChatMessageV2]).validate_python(sent_request["messages"])
        TypeAdapter(list[ToolV2]).validate_python(sent_request.get("tools", []))
    except ValidationError as error:
        return str(error)
    return None
