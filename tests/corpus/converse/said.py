"""What a recorded answer says, read by botocore's own client over a transport that plays the recording."""

import base64
import json
from functools import cache
from io import BytesIO
from typing import Any

from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from botocore.session import Session

from services.adapters.protocol import Answer
from tests.corpus.recording import Expected, ExpectedFailure, NotApplicable, Recording, ToolCall

FINISHED = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}
FAILED = {
    "AccessDeniedException": "auth",
    "ExpiredTokenException": "auth",
    "UnrecognizedClientException": "auth",
    "ThrottlingException": "rate_limited",
    "ModelNotReadyException": "overloaded",
    "ServiceUnavailableException": "overloaded",
    "ServiceQuotaExceededException": "quota_exhausted",
    "ModelTimeoutException": "timeout",
    "InternalServerException": "unavailable",
    "ModelErrorException": "unavailable",
    "ModelStreamErrorException": "unavailable",
}
STATUSES = {401: "auth", 403: "auth", 408: "timeout", 424: "unavailable", 429: "rate_limited", 500: "unavailable", 503: "overloaded"}
WORDS = ("input tokens exceeded", "input is too long", "prompt is too long", "too many input tokens")
Block = dict[str, Any]


def expected(recording: Recording) -> Expected | ExpectedFailure | NotApplicable:
    streamed = recording.route.endswith("/converse-stream")
    client = _client()
    client.meta.playing = recording
    try:
        if not streamed:
            answer = client.converse(modelId="recorded", messages=[{"role": "user", "content": [{"text": "recorded"}]}])
            return _answer(answer["output"]["message"]["content"], answer["stopReason"], answer["usage"], streamed=False)
        events = client.converse_stream(modelId="recorded", messages=[{"role": "user", "content": [{"text": "recorded"}]}])["stream"]
        content, reason, usage = _gathered(list(events))
        return _answer(content, reason, usage, streamed=True) if reason else ExpectedFailure("truncated_stream")
    except (ClientError, EventStreamError) as error:
        return _failure(error)


def extra(answer: Answer) -> dict[str, Any]:
    """What only this protocol has, in an answer of ours."""
    parts = answer.message.all_parts() if answer.message is not None else ()
    return {
        "signatures": [part.signature for part in parts if part.type == "reasoning" and part.encrypted is None],
        "encrypted": [part.encrypted for part in parts if part.type == "reasoning" and part.encrypted is not None],
        "blocks": [next(iter(part.provider_data["bedrock_block"])) for part in parts if part.provider_data and "bedrock_block" in part.provider_data],
        "results": sum(part.type == "server_tool_call_response" for part in parts),
    }


@cache
def _client() -> Any:
    """A client that sends nothing: `before-send` answers in place of the network."""
    client: Any = Session().create_client(
        "bedrock-runtime", region_name="us-east-1", aws_access_key_id="nobody", aws_secret_access_key="nobody", config=Config(retries={"max_attempts": 0})
    )

    def play(request: AWSRequest, **_: Any) -> AWSResponse:
        recording: Recording = client.meta.playing
        return AWSResponse(request.url, recording.status, _Headers(recording.response_headers), _Raw(recording.response))

    client.meta.events.register("before-send.bedrock-runtime", play)
    return client


class _Headers(dict[str, str]):
    """Looked up without regard to case, as botocore does."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


class _Raw(BytesIO):
    """A recorded body, as urllib3 gives one."""

    def stream(self, amount: int = 8192, **_: Any) -> Any:
        while chunk := self.read(amount):
            yield chunk


def _gathered(events: list[dict[str, Any]]) -> tuple[list[Block], str, dict[str, Any]]:
    """The message that the events tell: botocore decodes each, and puts nothing together."""
    blocks: dict[int, Block] = {}
    reason, usage = "", {}
    for event in events:
        ((name, data),) = event.items()
        if name == "messageStop":
            reason = data["stopReason"]
        elif name == "metadata":
            usage = data["usage"]
        elif name == "contentBlockStart":
            ((kind, start),) = data["start"].items()
            blocks[data["contentBlockIndex"]] = {kind: {**start, "input": "", "content": []}}
        elif name == "contentBlockDelta":
            _add(blocks.setdefault(data["contentBlockIndex"], {}), data["delta"])
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return list(blocks.values()), reason, usage


def _add(block: Block, delta: dict[str, Any]) -> None:
    ((kind, value),) = delta.items()
    if kind == "text":
        block["text"] = block.get("text", "") + value
    elif kind == "toolUse":
        block["toolUse"]["input"] += value["input"]
    elif kind == "toolResult":
        block["toolResult"]["content"] += value
    elif kind == "reasoningContent":
        said = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {"text": ""})
        said["text"] += value.get("text", "")
        if "signature" in value:
            said["signature"] = value["signature"]
    elif kind == "citation":
        block.setdefault("citationsContent", {"content": [], "citations": []})["citations"].append(value)


def _answer(content: list[Block], reason: str, usage: dict[str, Any], *, streamed: bool) -> Expected:
    reasoning = [block["reasoningContent"] for block in content if "reasoningContent" in block]
    calls = [block["toolUse"] for block in content if "toolUse" in block]
    own = [call for call in calls if call.get("type") != "server_tool_use"]
    return Expected(
        text="".join(map(_text, content)),
        reasoning="".join(said["reasoningText"]["text"] for said in reasoning if "reasoningText" in said),
        tool_calls=tuple(ToolCall(call["name"], call["input"], call["toolUseId"]) for call in own),
        server_tools=tuple(call["name"] for call in calls if call.get("type") == "server_tool_use"),
        finish_reason=FINISHED.get(reason, "stop"),
        usage=_usage(usage),
        streamed=streamed,
        extra={
            "signatures": [said["reasoningText"].get("signature") for said in reasoning if "reasoningText" in said],
            "encrypted": [base64.b64encode(said["redactedContent"]).decode() for said in reasoning if "redactedContent" in said],
            "blocks": [kind for block in content if (kind := _opaque(block)) is not None],
            "results": sum("toolResult" in block for block in content),
        },
    )


def _text(block: Block) -> str:
    return str(block.get("text", "")) + "".join(item.get("text", "") for item in block.get("citationsContent", {}).get("content", ()))


def _opaque(block: Block) -> str | None:
    if "toolUse" in block:
        return "toolUse" if block["toolUse"].get("type") == "server_tool_use" else None
    return next((kind for kind in ("citationsContent", "toolResult") if kind in block), None)


def _usage(usage: dict[str, Any]) -> dict[str, int | None]:
    read, written = usage.get("cacheReadInputTokens"), usage.get("cacheWriteInputTokens")
    if not usage:
        return {"input_tokens": None, "output_tokens": None}
    return {
        "input_tokens": usage["inputTokens"] + (read or 0) + (written or 0),
        "output_tokens": usage["outputTokens"],
        "cache_read_tokens": read,
        "cache_write_tokens": written,
    }


def _failure(error: ClientError | EventStreamError) -> ExpectedFailure:
    said = error.response["Error"]
    code, words = said["Code"], said.get("Message", "").lower()
    if any(text in words for text in WORDS):
        return ExpectedFailure("context_too_long")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return ExpectedFailure(FAILED.get(code[:1].upper() + code[1:]) or STATUSES.get(status, "invalid_request"))
