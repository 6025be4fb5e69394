"""Recorded requests to Google as our contract's."""

import re
from collections.abc import Iterator
from typing import Any

from contracts.content import (
    BlobPart,
    ChatMessageV1,
    FilePart,
    Modality,
    NamedToolV1,
    Part,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolCallResponsePart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    ToolV1,
    UriPart,
)
from contracts.request import ChatRequestV1, EmbedRequestV1, OutputV1, SamplingV1
from tests.corpus.recording import Case, NotApplicable, Recording

from .asked import camel, json_schema, listed, role_of

METHODS = "generateContent|streamGenerateContent|batchEmbedContents|embedContent|countTokens|predict|predictLongRunning|bidiGenerateContent"
ROUTE = re.compile(
    r"^(?P<base>(?:(?!/publishers/|/projects/).)*?)(?:/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+))?"
    rf"(?P<publisher>/publishers/google)?/models/(?P<model>[^/:]+):(?P<method>{METHODS})$"
)
REASONS = {
    "cache": "management of cached content",
    "models": "model operations",
    "batch": "batch API",
    "count_tokens": "token counting",
    "countTokens": "token counting",
    "predict": "server-side image generation",
    "predictLongRunning": "server-side video generation",
    "bidiGenerateContent": "sessions over websockets",
}
KEPT = ("thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata")
Unanswered = list[tuple[str, str]]
"""The names and ids of calls whose answers have not come yet."""


def case(recording: Recording) -> Case | NotApplicable:
    found = ROUTE.match(recording.route)
    if recording.kind in REASONS or found is None:
        return NotApplicable(REASONS.get(recording.kind, "another API of Google's"))
    asked, method = camel(recording.request), found["method"]
    type_name, options = ("vertex", {"access_token": "token-of-nobody"}) if found["publisher"] is not None else ("gemini", {})
    if found["project"]:
        options |= {"project": found["project"], "location": found["location"]}
    if method in ("generateContent", "streamGenerateContent"):
        request: ChatRequestV1 | EmbedRequestV1 | NotApplicable = chat_request(asked, type_name, stream=method.startswith("stream"))
    elif method == "predict" and "embedding" in found["model"]:
        request = predict_request(asked, type_name)
    elif method == "batchEmbedContents" or (method == "embedContent" and type_name == "vertex"):
        request = embed_request(asked, type_name)
    else:
        return NotApplicable(REASONS.get(method, "one text by embedContent: the Gemini API is asked by batchEmbedContents"))
    return request if isinstance(request, NotApplicable) else Case(type_name, found["model"], request, options, found["base"])


def embed_request(asked: Any, type_name: str) -> EmbedRequestV1 | NotApplicable:
    requests = listed(asked.get("requests")) or [asked]
    contents = [listed(one["content"]["parts"]) for one in requests]
    if any("text" not in part for parts in contents for part in parts):
        return NotApplicable("embedding of images: the contract embeds texts")
    settings = {name: value for name, value in requests[0].items() if name not in ("model", "content")}
    settings = settings.pop("embedContentConfig", settings)
    dimensions = settings.pop("outputDimensionality", None)
    texts = tuple("".join(part["text"] for part in parts) for parts in contents)
    return EmbedRequestV1(input=texts, dimensions=dimensions, provider_options={type_name: settings} if settings else {})


def predict_request(asked: Any, type_name: str) -> EmbedRequestV1 | NotApplicable:
    instances, parameters = asked["instances"], dict(asked.get("parameters", {}))
    if any("content" not in one for one in instances):
        return NotApplicable("embedding of images: the contract embeds texts")
    settings = {**parameters, **{name: value for name, value in instances[0].items() if name != "content"}}
    dimensions = settings.pop("outputDimensionality", None)
    return EmbedRequestV1(input=tuple(one["content"] for one in instances), dimensions=dimensions, provider_options={type_name: settings} if settings else {})


def chat_request(asked: Any, type_name: str, *, stream: bool) -> ChatRequestV1 | NotApplicable:
    rest = {name: value for name, value in asked.items() if name not in ("contents", "systemInstruction", "model")}
    messages = [*systems_of(asked.get("systemInstruction")), *messages_of(listed(asked.get("contents")))]
    if all(message.role == "system" for message in messages):
        return NotApplicable("a request without a turn")
    config = dict(rest.pop("generationConfig", {}))
    output = None
    if config.get("responseMimeType") == "application/json" and isinstance(config.get("responseJsonSchema"), dict):
        output = OutputV1(json_schema=config.pop("responseJsonSchema"))
        del config["responseMimeType"]
    sampling, (tools, choice) = sampling_of(config), tools_of(rest)
    further = {**rest, **({"generationConfig": config} if config else {})}
    return ChatRequestV1.model_validate(
        {
            "messages": messages,
            "tools": tools,
            "tool_choice": choice,
            "output": output,
            "sampling": sampling,
            "stream": stream,
            "provider_options": {type_name: further} if further else {},
        }
    )


LIMITS: dict[str, tuple[str, float, float]] = {
    "temperature": ("temperature", 0, 2),
    "topP": ("top_p", 1e-9, 1),
    "maxOutputTokens": ("max_output_tokens", 1, 2**31),
    "seed": ("seed", -(2**63), 2**63),
}
"""Google's names, ours, and our bounds."""


def sampling_of(config: dict[str, Any]) -> SamplingV1:
    """What the contract can say; values beyond its bounds stay in `config`."""
    given: dict[str, Any] = {"stop": config.pop("stopSequences", None) or ()}
    for theirs, (ours, least, most) in LIMITS.items():
        if (value := config.get(theirs)) is not None and least <= value <= most:
            given[ours] = config.pop(theirs)
    return SamplingV1.model_validate(given)


def tools_of(rest: dict[str, Any]) -> tuple[tuple[ToolV1, ...], Any]:
    """Functions and a choice that the contract can say; what it cannot stays in `rest`."""
    given = listed(rest.pop("tools", None))
    declared = [function for tool in given for function in listed(tool.get("functionDeclarations"))]
    others = [tool for tool in given if "functionDeclarations" not in tool]
    if others:
        rest["tools"] = others
    tools = tuple(
        ToolV1(name=one["name"], description=one.get("description"), parameters=one.get("parametersJsonSchema") or json_schema(one.get("parameters", {})))
        for one in declared
    )
    config = dict(rest.get("toolConfig") or {})
    calling = dict(config.get("functionCallingConfig") or {})
    mode, allowed = str(calling.get("mode", "")).upper(), calling.get("allowedFunctionNames") or []
    choice: Any = {"AUTO": "auto", "NONE": "none", "ANY": "required"}.get(mode) if not allowed else None
    if mode == "ANY" and len(allowed) == 1:
        choice = NamedToolV1(name=allowed[0])
    if not tools or choice is None:
        return tools, None
    left = {name: value for name, value in calling.items() if name not in ("mode", "allowedFunctionNames")}
    kept = {name: value for name, value in {**config, "functionCallingConfig": left}.items() if value}
    rest.pop("toolConfig")
    rest |= {"toolConfig": kept} if kept else {}
    return tools, choice


def systems_of(instruction: Any) -> Iterator[ChatMessageV1]:
    for part in listed(instruction.get("parts") if isinstance(instruction, dict) else instruction):
        yield ChatMessageV1(role="system", content=part if isinstance(part, str) else part["text"])


def messages_of(contents: list[Any]) -> Iterator[ChatMessageV1]:
    unanswered: Unanswered = []
    for at, content in enumerate(contents):
        parts = tuple(part_of(wire, f"unnamed_{at}_{index}", unanswered) for index, wire in enumerate(listed(content["parts"])))
        answers = all(isinstance(part, ToolCallResponsePart) for part in parts)
        role = "assistant" if role_of(content) == "model" else "tool" if answers else "user"
        yield ChatMessageV1.model_validate({"role": role, "parts": parts})


def part_of(wire: dict[str, Any], invented: str, unanswered: Unanswered) -> Part:
    kept = {name: value for name, value in wire.items() if name in KEPT} or None
    if "functionCall" in wire:
        return call_of(wire["functionCall"], kept, invented, unanswered)
    if "functionResponse" in wire:
        return answer_of(wire["functionResponse"], unanswered)
    if wire.get("thought"):
        return ReasoningPart(content=wire.get("text"), signature=wire.get("thoughtSignature"), provider_data={"thought": True})
    if "inlineData" in wire:
        media = wire["inlineData"]
        return BlobPart(modality=modality(media["mimeType"]), mime_type=media["mimeType"], content=media["data"], provider_data=kept)
    if "fileData" in wire:
        return linked(wire["fileData"], kept)
    if "executableCode" in wire or "toolCall" in wire:
        return ServerToolCallPart(name="whatever", provider_data=wire)
    if "codeExecutionResult" in wire or "toolResponse" in wire:
        return ServerToolCallResponsePart(provider_data=wire)
    return TextPart(content=wire.get("text", ""), provider_data=kept)


def call_of(call: dict[str, Any], kept: dict[str, Any] | None, invented: str, unanswered: Unanswered) -> ToolCallPart:
    known = call.get("id") or invented
    unanswered.append((call["name"], known))
    marked = kept if call.get("id") else {**(kept or {}), "invented_id": True}
    return ToolCallPart(id=known, name=call["name"], arguments=call.get("args") or {}, provider_data=marked)


def answer_of(answer: dict[str, Any], unanswered: Unanswered) -> ToolCallResponsePart:
    """An answer without an id is that of the first call of its name."""
    further = {name: value for name, value in answer.items() if name not in ("id", "name", "response")}
    mine = next((one for one in unanswered if (one[1] == answer["id"] if answer.get("id") else one[0] == answer["name"])), None)
    if mine is not None:
        unanswered.remove(mine)
    else:
        further["name"] = answer["name"]
    known = mine[1] if mine is not None else answer.get("id") or "of-no-call"
    return ToolCallResponsePart(id=known, response=answer.get("response"), provider_data={"functionResponse": further} if further else None)


def linked(media: dict[str, Any], kept: dict[str, Any] | None) -> Part:
    mime_type, uri = media.get("mimeType"), media["fileUri"]
    if "generativelanguage.googleapis.com" in uri:
        return FilePart(modality=modality(mime_type or ""), mime_type=mime_type, file_id=uri, provider_data=kept)
    return UriPart(modality=modality(mime_type or "video/"), mime_type=mime_type, uri=uri, provider_data=kept)


def modality(mime_type: str) -> Modality:
    families: dict[str, Modality] = {"image": "image", "audio": "audio", "video": "video"}
    return families.get(mime_type.partition("/")[0], "document")
