"""Ollama's own API. It has no SDK among the tests' dependencies: what its documentation says is read by hand."""

import json
from typing import Any

from contracts.request import ChatRequestV1, EmbedRequestV1
from tests.corpus.bodies import differ
from tests.corpus.recording import Case, Expected, ExpectedFailure, NotApplicable, Recording, ToolCall

KNOWN: dict[str, tuple[type, ...]] = {
    "model": (str,),
    "messages": (list,),
    "stream": (bool,),
    "tools": (list,),
    "options": (dict,),
    "format": (str, dict),
    "think": (bool, str),
    "keep_alive": (str, int),
}
"""https://docs.ollama.com/api/chat"""
OPTIONS = {"temperature": "temperature", "top_p": "top_p", "num_predict": "max_output_tokens", "stop": "stop", "seed": "seed"}
ALLOWED = {
    "empty": "a field that is null or empty asks for nothing",
    "tool_call_id, tool_name, id": "newer servers match calls and answers by them; older ones pass over them",
}


def claims(recording: Recording) -> bool:
    return recording.route.endswith(("/api/chat", "/api/embed"))


def case(recording: Recording) -> Case | NotApplicable:
    asked = {name: value for name, value in recording.request.items() if value not in (None, "", {}, [])}
    base_path, model = recording.route.rpartition("/api/")[0], asked.pop("model")
    if "input" in asked:
        given = asked.pop("input")
        embed = EmbedRequestV1(input=(given,) if isinstance(given, str) else tuple(given), provider_options={"ollama_native": asked})
        return Case("ollama_native", model, embed, base_path=base_path)
    fields = {"messages": [_message(message) for message in asked.pop("messages")], "stream": asked.pop("stream", True)}
    fields["tools"] = [tool["function"] for tool in asked.pop("tools", ())]
    options = asked.pop("options", {})
    fields["sampling"] = {ours: options.pop(theirs) for theirs, ours in OPTIONS.items() if theirs in options}
    if isinstance(asked.get("format"), dict):
        fields["output"] = {"json_schema": asked.pop("format")}
    rest = {**asked, **({"options": options} if options else {})}
    return Case("ollama_native", model, ChatRequestV1.model_validate({**fields, "provider_options": {"ollama_native": rest}}), base_path=base_path)


def _message(message: dict[str, Any]) -> dict[str, Any]:
    if message["role"] == "tool":
        call_id = message.get("tool_call_id") or message.get("tool_name") or ""
        return {"role": "tool", "parts": [{"type": "tool_call_response", "id": call_id, "response": message["content"]}]}
    parts: list[dict[str, Any]] = [{"type": "text", "content": message.get("content") or ""}]
    parts += [{"type": "blob", "modality": "image", "mime_type": "image/png", "content": image} for image in message.get("images") or ()]
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        parts.append({"type": "tool_call", "id": call.get("id") or f"call_{index}", "name": function["name"], "arguments": function["arguments"]})
    return {"role": message["role"], "parts": parts}


def expected(recording: Recording) -> Expected | ExpectedFailure | NotApplicable:
    lines = [json.loads(line) for line in recording.text().splitlines() if line.strip()]
    if recording.status != 200:
        return ExpectedFailure({401: "auth", 404: "invalid_request", 400: "invalid_request"}.get(recording.status, "unavailable"))
    last = lines[-1]
    if "embeddings" in last:
        return Expected(embeddings=tuple(map(tuple, last["embeddings"])), response_model=last["model"], usage={"input_tokens": last.get("prompt_eval_count")})
    messages = [line["message"] for line in lines if "message" in line]
    calls = tuple(
        ToolCall(call["function"]["name"], call["function"]["arguments"], call.get("id")) for message in messages for call in message.get("tool_calls") or ()
    )
    return Expected(
        text="".join(message.get("content") or "" for message in messages),
        reasoning="".join(message.get("thinking") or "" for message in messages),
        tool_calls=calls,
        finish_reason="length" if last.get("done_reason") == "length" else "tool_call" if calls else "stop",
        usage={"input_tokens": last.get("prompt_eval_count"), "output_tokens": last.get("eval_count")},
        response_model=last["model"],
        streamed=recording.request.get("stream", True),
    )


def differences(recorded_request: Any, sent_request: Any) -> list[str]:
    return list(differ("", _same(recorded_request), _same(sent_request)))


def _same(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: _same(inner) for name, inner in value.items() if name not in ("tool_call_id", "tool_name", "id")}
        return {name: inner for name, inner in kept.items() if inner not in (None, "", {}, [])}
    return [_same(inner) for inner in value] if isinstance(value, list) else value


def accepted(sent_request: Any) -> str | None:
    """The documented fields and their types."""
    wrong = [name for name, value in sent_request.items() if name in KNOWN and not isinstance(value, KNOWN[name])]
    return f"fields of another type than documented: {wrong}" if wrong else None
