"""Chat-completions bodies as our answers."""

from decimal import Decimal
from typing import Any

from contracts.content import ChatMessageV1, Part, TextPart, ToolCallPart
from contracts.outcome import FinishReason, UsageV1, WarningV1

from ..protocol import Answer, Failure
from ..reading import count_or_none, is_amount, text_or_none, tool_call_part
from .beside import details_of, executed_in, notes_of, reasoning_part, server_answer, server_call, thought_in, transcript_of
from .errors import failure_in_body

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
    "model_context_window_exceeded": "length",
    "error": "error",
    "abort": "error",
    "network_error": "error",
    "insufficient_system_resource": "error",
}


def chat_answer(body: Any) -> Answer | Failure:
    """The body of a 200 to `POST /chat/completions`."""
    if not isinstance(body, dict):
        return unreadable("is not a JSON object")
    if body.get("error"):
        return failure_in_body(body["error"])
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict) or not isinstance(choices[0].get("message"), dict):
        return unreadable("has no choices[0].message")
    message = choices[0]["message"]
    parts = _parts(message, notes_of(message, body))
    return Answer(
        message=ChatMessageV1(role="assistant", parts=parts),
        finish_reason=finish_of(choices[0].get("finish_reason"), refused=_refused(message), called=_called(parts)),
        usage=usage_of(body.get("usage")),
        response_model=text_or_none(body.get("model")),
        response_id=text_or_none(body.get("id")),
        warnings=one_of(len(choices)),
        cost_usd=cost_of(body.get("usage")),
    )


def unreadable(why: str) -> Failure:
    """A 200 that says nothing we understand; it may have been billed."""
    return Failure("unavailable", f"the provider's answer {why}; check that base_url ends before /chat/completions")


def _refused(message: dict[str, Any]) -> bool:
    return text_or_none(message.get("refusal")) is not None


def _called(parts: tuple[Part, ...]) -> bool:
    return any(isinstance(part, ToolCallPart) for part in parts)


def finish_of(reason: Any, *, refused: bool, called: bool) -> FinishReason:
    """Why the model stopped. A forced tool call ends with `stop` on the wire; a refusal too."""
    known = FINISH_REASONS.get(reason, "stop") if isinstance(reason, str) else "stop"
    if refused:
        return "content_filter"
    return "tool_call" if called and known == "stop" else known


def one_of(choices: int) -> tuple[WarningV1, ...]:
    """Says that only the first of several choices was kept."""
    return (WarningV1(type="further_choices", message=f"the provider gave {choices} choices; the first is kept"),) if choices > 1 else ()


def _parts(message: dict[str, Any], notes: dict[str, Any]) -> tuple[Part, ...]:
    """Reasoning, the provider's own tools, text, refusal, tool calls: in this order."""
    parts: list[Part] = []
    content = message.get("content")
    thinking, text = content_of(content)
    details = details_of(message)
    thought = reasoning_part(reasoning_of(message) + thinking or thought_in(details), details)
    if thought is not None:
        parts.append(thought)
    for tool in executed_in(message):
        given = server_answer(tool)
        parts += [server_call(tool)] if given is None else [server_call(tool), given]
    if text or notes:
        parts.append(TextPart(content=text or transcript_of(notes), provider_data=notes or None))
    if _refused(message):
        parts.append(TextPart(content=message["refusal"], provider_data={"refusal": True}))
    calls = message.get("tool_calls")
    if not calls and isinstance(message.get("function_call"), dict):
        calls = [{"function": message["function_call"]}]
    for index, call in enumerate(calls if isinstance(calls, list) else []):
        if isinstance(call, dict):
            parts.append(call_part(call, index))
    return tuple(parts) or (TextPart(content=""),)


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _text(block: dict[str, Any]) -> str:
    return text_or_none(block.get("text")) or "" if block.get("type") in ("text", "output_text") else ""


def _thinking(block: dict[str, Any]) -> str:
    """Mistral's thinking block: {"type": "thinking", "thinking": [text blocks]}."""
    return "".join(_text(inner) for inner in _blocks(block.get("thinking"))) if block.get("type") == "thinking" else ""


def reasoning_of(message: dict[str, Any]) -> str:
    """vLLM and DeepSeek say `reasoning_content`, Ollama, Groq and OpenRouter `reasoning`; some send both."""
    return text_or_none(message.get("reasoning_content")) or text_or_none(message.get("reasoning")) or ""


def content_of(content: Any) -> tuple[str, str]:
    """The reasoning and the text in a message's or a delta's `content`: a string or blocks."""
    if isinstance(content, str):
        return "", content
    if isinstance(content, dict):
        content = [content]
    return "".join(map(_thinking, _blocks(content))), "".join(map(_text, _blocks(content)))


def call_part(call: dict[str, Any], index: int) -> ToolCallPart:
    name, written = called_with(call)
    return made_call(call.get("id"), index, name, written, custom=isinstance(call.get("custom"), dict), extra=call.get("extra_content"))


def made_call(call_id: Any, index: int, name: Any, written: Any, *, custom: bool, extra: Any) -> ToolCallPart:
    """One tool call; what must come back with it in the next turn is kept: Gemini's thought signatures in `extra_content`.

    A custom tool's input is free text, whatever it looks like.
    """
    part = tool_call_part(call_id, index, name, {} if custom else written)
    data = {
        **({"custom": True, "raw_arguments": written} if custom else part.provider_data or {}),
        **({"extra_content": extra} if isinstance(extra, dict) else {}),
    }
    return part.model_copy(update={"provider_data": data}) if data else part


def called_with(call: dict[str, Any]) -> tuple[Any, Any]:
    """A call's name and arguments; OpenAI's custom tools have free text, `input`, in their place."""
    function, custom = call.get("function"), call.get("custom")
    if isinstance(function, dict):
        return function.get("name"), function.get("arguments")
    return (custom.get("name"), custom.get("input")) if isinstance(custom, dict) else (None, None)


CACHE_READ = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")
"""DeepSeek, Together, Mistral."""
USD_TICKS = Decimal("1e10")
"""xAI counts a dollar as so many ticks."""


def usage_of(usage: Any, *, output_tokens: int | None = None) -> UsageV1:
    """Tokens as billed. Some providers count reasoning beside the completion: their total tells."""
    if not isinstance(usage, dict):
        return UsageV1()
    prompt, completion = _details(usage, "prompt_tokens_details"), _details(usage, "completion_tokens_details")
    given, reasoning = count_or_none(usage.get("completion_tokens")), count_or_none(completion.get("reasoning_tokens"))
    total, asked = count_or_none(usage.get("total_tokens")), count_or_none(usage.get("prompt_tokens"))
    if None not in (given, reasoning, total, asked) and reasoning and total == (asked or 0) + (given or 0) + reasoning:
        given = (given or 0) + reasoning
    return UsageV1(
        input_tokens=asked,
        output_tokens=given if given is not None else output_tokens,
        cache_read_tokens=_first_count(prompt.get("cached_tokens"), *(usage.get(name) for name in CACHE_READ)),
        cache_write_tokens=_first_count(prompt.get("cache_write_tokens"), usage.get("cache_creation_input_tokens")),
        reasoning_tokens=reasoning,
    )


def _details(usage: dict[str, Any], name: str) -> dict[str, Any]:
    details = usage.get(name)
    return details if isinstance(details, dict) else {}


def _first_count(*values: Any) -> int | None:
    return next((count for count in map(count_or_none, values) if count is not None), None)


def cost_of(usage: Any) -> Decimal | None:
    """What the provider itself says the call cost in USD: OpenRouter's `usage.cost`, Perplexity's `usage.cost.total_cost`, xAI's ticks."""
    if not isinstance(usage, dict):
        return None
    cost, ticks = usage.get("cost"), usage.get("cost_in_usd_ticks")
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    if cost is None and is_amount(ticks):
        return Decimal(repr(ticks)) / USD_TICKS
    return Decimal(repr(cost)) if is_amount(cost) else None
