"""Google's generateContent and embeddings: what recordings ask and say, by the official SDK's own types."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from google.genai import errors, types
from pydantic import ValidationError

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
from services.adapters.protocol import Answer
from tests.corpus.recording import Case, Expected, ExpectedFailure, NotApplicable, Recording, ToolCall

ROUTE = re.compile(
    r"^(?P<base>.*?)(?:/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+))?(?P<publisher>/publishers/google)?/models/(?P<model>[^/:]+):(?P<method>\w+)$"
)
FREE_FORM = frozenset({"args", "response", "parametersJsonSchema", "responseJsonSchema", "labels", "parameters", "responseSchema"})
"""Below these keys names belong to the caller."""
ALLOWED: Mapping[str, str] = {
    "names in camel case": "Google takes both; recorders send snake_case in places",
    "base64 in either alphabet": "Google takes both; we send what the contract holds",
    "systemInstruction.role": "it has no meaning there",
    "parameters as parametersJsonSchema": "the same schema: Google's Schema type in JSON Schema's words",
    "a lone tool as a list": "Google takes both",
    "function declarations in one tool": "a list in one tool or a tool for each: Google joins them",
    "empty objects": "generationConfig {} says nothing",
    "modes and thinking levels in upper case": "enum names are read without regard to case",
}
FINISH: Mapping[str, str] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY"), "content_filter"),
}
FAILURES = {
    400: "invalid_request",
    401: "auth",
    403: "auth",
    404: "invalid_request",
    429: "rate_limited",
    500: "unavailable",
    503: "overloaded",
    504: "timeout",
}
TOP_LEVEL = frozenset(
    {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent", "labels", "modelArmorConfig", "serviceTier"}
)


def claims(recording: Recording) -> bool:
    if recording.provider in ("gemini", "vertex") and recording.kind in ("cache", "models", "batch"):
        return True
    found = ROUTE.match(recording.route)
    return found is not None and (recording.provider in ("gemini", "vertex") or found["publisher"] is not None)


def case(recording: Recording) -> Case | NotApplicable:
    if recording.kind in ("cache", "models", "batch", "count_tokens"):
        named = {"cache": "management of cached content", "models": "model operations", "batch": "batch jobs", "count_tokens": "token counting"}
        return NotApplicable(named[recording.kind])
    found = ROUTE.match(recording.route)
    assert found is not None
    asked = camel(recording.request)
    vertex = found["publisher"] is not None
    type_name, options = ("vertex", {"access_token": "token-of-nobody"}) if vertex else ("gemini", {})
    if found["project"]:
        options |= {"project": found["project"], "location": found["location"]}
    if found["method"] == "batchEmbedContents":
        request: ChatRequestV1 | EmbedRequestV1 | NotApplicable = embed_request(asked, type_name)
    elif found["method"] in ("generateContent", "streamGenerateContent"):
        request = chat_request(asked, type_name, stream=found["method"] == "streamGenerateContent")
    else:
        return NotApplicable(f"method {found['method']}")
    return request if isinstance(request, NotApplicable) else Case(type_name, found["model"], request, options, found["base"])


def camel(value: Any) -> Any:
    """Google's field names in camel case, what the caller named left alone."""
    if isinstance(value, list):
        return [camel(one) for one in value]
    if not isinstance(value, dict):
        return value
    named = {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): inner for name, inner in value.items()}
    return {name: inner if name in FREE_FORM else camel(inner) for name, inner in named.items()}


def embed_request(asked: Any, type_name: str) -> EmbedRequestV1 | NotApplicable:
    requests = asked["requests"]
    if any("text" not in part for one in requests for part in one["content"]["parts"]):
        return NotApplicable("embedding of images: the contract embeds texts")
    settings = {name: value for name, value in requests[0].items() if name not in ("model", "content")}
    dimensions = settings.pop("outputDimensionality", None)
    texts = tuple("".join(part["text"] for part in one["content"]["parts"]) for one in requests)
    return EmbedRequestV1(input=texts, dimensions=dimensions, provider_options={type_name: settings} if settings else {})


def chat_request(asked: Any, type_name: str, *, stream: bool) -> ChatRequestV1:
    rest = {name: value for name, value in asked.items() if name not in ("contents", "systemInstruction")}
    config = dict(rest.pop("generationConfig", {}))
    sampling = SamplingV1(
        temperature=config.pop("temperature", None),
        top_p=config.pop("topP", None),
        max_output_tokens=config.pop("maxOutputTokens", None),
        stop=tuple(config.pop("stopSequences", ())),
        seed=config.pop("seed", None),
    )
    output = None
    if config.get("responseMimeType") == "application/json" and "responseJsonSchema" in config:
        output = OutputV1(json_schema=config.pop("responseJsonSchema"))
        del config["responseMimeType"]
    tools, choice = tools_of(rest)
    system = [ChatMessageV1(role="system", content=part["text"]) for part in asked.get("systemInstruction", {}).get("parts", ())]
    further = {**rest, **({"generationConfig": config} if config else {})}
    return ChatRequestV1(
        messages=(*system, *messages_of(asked["contents"])),
        tools=tools,
        tool_choice=choice,
        output=output,
        sampling=sampling,
        stream=stream,
        provider_options={type_name: further} if further else {},
    )


def tools_of(rest: dict[str, Any]) -> tuple[tuple[ToolV1, ...], Any]:
    """Functions and a choice that the contract can say; what it cannot stays in `rest`."""
    given = listed(rest.pop("tools", []))
    declared = [function for tool in given for function in tool.get("functionDeclarations", ())]
    others = [tool for tool in given if "functionDeclarations" not in tool]
    if others:
        rest["tools"] = others
    tools = tuple(
        ToolV1(name=one["name"], description=one.get("description"), parameters=one.get("parametersJsonSchema") or json_schema(one.get("parameters", {})))
        for one in declared
    )
    config = dict(rest.get("toolConfig", {}))
    calling = config.get("functionCallingConfig", {})
    mode, allowed = str(calling.get("mode", "")).upper(), calling.get("allowedFunctionNames")
    choice: Any = {"AUTO": "auto", "NONE": "none", "ANY": "required"}.get(mode) if tools and not allowed else None
    if tools and mode == "ANY" and allowed and len(allowed) == 1:
        choice = NamedToolV1(name=allowed[0])
    if choice is not None:
        del config["functionCallingConfig"]
        rest.pop("toolConfig")
        rest |= {"toolConfig": config} if config else {}
    return tools, choice


def listed(value: Any) -> list[Any]:
    """Google takes a lone message where a list is due."""
    return value if isinstance(value, list) else [value]


def json_schema(schema: Any) -> Any:
    """Google's Schema in JSON Schema's words."""
    if isinstance(schema, list):
        return [json_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: value.lower() if name == "type" and isinstance(value, str) else json_schema(value) for name, value in schema.items()}


def messages_of(contents: list[Any]) -> Iterator[ChatMessageV1]:
    ids: dict[str, list[str]] = {}
    for at, content in enumerate(contents):
        parts = tuple(part_of(wire, f"unnamed_{at}_{index}", ids) for index, wire in enumerate(content["parts"]))
        answers = all(isinstance(part, ToolCallResponsePart) for part in parts)
        role = "assistant" if content.get("role") == "model" else "tool" if answers else "user"
        yield ChatMessageV1.model_validate({"role": role, "parts": parts})


def part_of(wire: dict[str, Any], invented: str, ids: dict[str, list[str]]) -> Part:
    """`ids`: those that were made up for calls without one, by the function's name, in the order of the calls."""
    kept = {name: value for name, value in wire.items() if name in ("thoughtSignature", "videoMetadata", "mediaResolution")} or None
    if "functionCall" in wire:
        call = wire["functionCall"]
        if "id" not in call:
            ids.setdefault(call["name"], []).append(invented)
            kept = {**(kept or {}), "invented_id": True}
        return ToolCallPart(id=call.get("id", invented), name=call["name"], arguments=call.get("args", {}), provider_data=kept)
    if "functionResponse" in wire:
        answer = wire["functionResponse"]
        further = {name: value for name, value in answer.items() if name not in ("id", "name", "response")}
        known = answer["id"] if "id" in answer else ids[answer["name"]].pop(0)
        return ToolCallResponsePart(id=known, response=answer["response"], provider_data={"functionResponse": further} if further else None)
    if wire.get("thought"):
        return ReasoningPart(content=wire.get("text"), signature=wire.get("thoughtSignature"))
    if "text" in wire:
        return TextPart(content=wire["text"], provider_data=kept)
    if "inlineData" in wire:
        media = wire["inlineData"]
        return BlobPart(modality=modality(media["mimeType"]), mime_type=media["mimeType"], content=media["data"], provider_data=kept)
    if "fileData" in wire:
        return linked(wire["fileData"], kept)
    if "executableCode" in wire or "toolCall" in wire:
        return ServerToolCallPart(name="whatever", provider_data=wire)
    return ServerToolCallResponsePart(provider_data=wire)


def linked(media: dict[str, Any], kept: dict[str, Any] | None) -> Part:
    mime_type, uri = media.get("mimeType"), media["fileUri"]
    if "generativelanguage.googleapis.com" in uri:
        return FilePart(modality=modality(mime_type or ""), mime_type=mime_type, file_id=uri, provider_data=kept)
    return UriPart(modality=modality(mime_type or "video/"), mime_type=mime_type, uri=uri, provider_data=kept)


def modality(mime_type: str) -> Modality:
    families: dict[str, Modality] = {"image": "image", "audio": "audio", "video": "video"}
    return families.get(mime_type.partition("/")[0], "document")


def expected(recording: Recording) -> Expected | ExpectedFailure | NotApplicable:
    if recording.status != 200:
        return failure_of(recording)
    if recording.kind == "embed":
        told = types.EmbedContentResponse._from_response(response=json.loads(recording.text()), kwargs={})
        usage = json.loads(recording.text()).get("usageMetadata", {})
        return Expected(
            embeddings=tuple(tuple(one.values or ()) for one in told.embeddings or ()),
            usage={"input_tokens": usage.get("promptTokenCount"), "output_tokens": 0},
        )
    streamed = ":streamGenerateContent" in recording.route
    texts = [line[5:] for line in recording.text().splitlines() if line.startswith("data:")] if streamed else [recording.text()]
    chunks = [types.GenerateContentResponse._from_response(response=json.loads(text), kwargs={}) for text in texts]
    return answer_of(chunks, streamed=streamed)


def failure_of(recording: Recording) -> ExpectedFailure:
    error = errors.APIError(recording.status, json.loads(recording.text()))
    reasons = {detail.get("reason") for detail in (error.details or {}).get("error", {}).get("details", ())}
    if "API_KEY_INVALID" in reasons:
        return ExpectedFailure("auth")
    by_code = {
        400: "invalid_request",
        401: "auth",
        403: "auth",
        404: "invalid_request",
        429: "rate_limited",
        500: "unavailable",
        503: "overloaded",
        504: "timeout",
    }
    return ExpectedFailure(by_code[error.code])


def answer_of(chunks: list[types.GenerateContentResponse], *, streamed: bool) -> Expected:
    candidates = [chunk.candidates[0] for chunk in chunks if chunk.candidates]
    parts = [part for candidate in candidates if candidate.content for part in candidate.content.parts or ()]
    called = [part.function_call for part in parts if part.function_call]
    reason = next((candidate.finish_reason.value for candidate in candidates if candidate.finish_reason), None)
    finish = FINISH.get(reason or "", "error")
    usage = next((chunk.usage_metadata for chunk in reversed(chunks) if chunk.usage_metadata), None)
    return Expected(
        text="".join(part.text for part in parts if part.text and not part.thought),
        reasoning="".join(part.text for part in parts if part.text and part.thought),
        tool_calls=tuple(ToolCall(call.name or "", call.args or {}, call.id) for call in called),
        server_tools=tuple(server_tools(candidates, parts)),
        finish_reason="tool_call" if called and finish == "stop" else finish,
        usage={} if usage is None else usage_of(usage),
        response_id=chunks[0].response_id,
        response_model=chunks[0].model_version,
        streamed=streamed,
        extra={
            "signatures": [part.thought_signature for part in parts if part.thought_signature],
            "media": [part.inline_data.data for part in parts if part.inline_data],
        },
    )


def usage_of(usage: types.GenerateContentResponseUsageMetadata) -> dict[str, int | None]:
    return {
        "input_tokens": (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0),
        "output_tokens": (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
        "cache_read_tokens": usage.cached_content_token_count,
        "reasoning_tokens": usage.thoughts_token_count,
    }


def server_tools(candidates: list[types.Candidate], parts: list[types.Part]) -> Iterator[str]:
    """Tools in the parts; where none are told, what the grounding came from."""
    told = [("code_execution" if part.executable_code else part.tool_call.tool_type.value) for part in parts if part.executable_code or part.tool_call]  # type: ignore[union-attr]
    yield from told
    grounding = [one for candidate in candidates if (one := candidate.grounding_metadata) and one.model_dump(exclude_none=True)]
    if grounding and not told:
        chunks = [chunk for one in grounding for chunk in one.grounding_chunks or ()]
        yield "file_search" if any(chunk.retrieved_context for chunk in chunks) else "google_search"


def extra(answer: Answer) -> Mapping[str, Any]:
    """Signatures and media, decoded, in order."""
    parts = answer.message.all_parts() if answer.message is not None else ()
    signatures = [(part.signature if isinstance(part, ReasoningPart) else None) or (part.provider_data or {}).get("thoughtSignature") for part in parts]
    return {
        "signatures": [decoded(text) for text in signatures if text],
        "media": [decoded(part.content) for part in parts if isinstance(part, BlobPart)],
    }


def decoded(text: str) -> bytes:
    """The bytes; recorders cut and blackened some, and what is left is compared as it stands."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return text.encode()


def differences(recorded_request: Any, sent_request: Any) -> list[str]:
    """Where the requests differ beyond what ALLOWED names."""
    return list(_differ("", canonical(camel(recorded_request)), canonical(sent_request)))


def canonical(request: Any) -> Any:
    wire = {name: value for name, value in request.items() if value not in ({}, [])}
    if "tools" in wire:
        tools = listed(wire["tools"])
        declared = [function_of(one) for tool in tools for one in tool.get("functionDeclarations", ())]
        others = [tool for tool in tools if "functionDeclarations" not in tool]
        wire["tools"] = [*([{"functionDeclarations": declared}] if declared else []), *others]
    if "systemInstruction" in wire:
        wire["systemInstruction"] = {"parts": wire["systemInstruction"]["parts"]}
    return _plain(wire)


def function_of(declared: dict[str, Any]) -> dict[str, Any]:
    schema = declared.get("parametersJsonSchema") or json_schema(declared.get("parameters", {}))
    return {"name": declared["name"], "description": declared.get("description"), "parametersJsonSchema": schema}


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, list):
        return [_plain(one, name) for one in value]
    if isinstance(value, dict):
        return value if name in FREE_FORM else {key: _plain(inner, key) for key, inner in value.items()}
    if name in ("data", "thoughtSignature") and isinstance(value, str):
        return decoded(value)
    return value.upper() if name in ("mode", "thinkingLevel") and isinstance(value, str) else value


def _differ(where: str, recorded: Any, sent: Any) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(sent, dict):
        for name in sorted({*recorded, *sent}):
            yield from _differ(f"{where}.{name}", recorded.get(name), sent.get(name))
    elif isinstance(recorded, list) and isinstance(sent, list) and len(recorded) == len(sent):
        for at, (one, other) in enumerate(zip(recorded, sent, strict=True)):
            yield from _differ(f"{where}[{at}]", one, other)
    elif recorded != sent:
        yield f"{where}: recorded {str(recorded)[:200]!r}, sent {str(sent)[:200]!r}"


def blackened(content: dict[str, Any]) -> dict[str, Any]:
    """Base64 that recorders destroyed says nothing of the request that was sent with it."""
    text = json.dumps(content)
    return dict(
        json.loads(re.sub(r'"(data|thoughtSignature)": "([^"]*)"', lambda found: f'"{found[1]}": "{base64.b64encode(decoded(found[2])).decode()}"', text))
    )


def accepted(sent_request: Any) -> str | None:
    """What the SDK's types, closed to unknown fields, say of the body."""
    unknown = set(sent_request) - TOP_LEVEL - {"requests", "content", "embedContentConfig"}
    if unknown:
        return f"unknown fields {sorted(unknown)}"
    try:
        for content in (*sent_request.get("contents", ()), *(one["content"] for one in sent_request.get("requests", ()))):
            types.Content.model_validate(blackened(content))
        for tool in sent_request.get("tools", ()):
            types.Tool.model_validate(tool)
        for name, of in (("systemInstruction", types.Content), ("generationConfig", types.GenerationConfig), ("toolConfig", types.ToolConfig)):
            of.model_validate(sent_request.get(name, {}))
    except ValidationError as error:
        return str(error)
    return None
