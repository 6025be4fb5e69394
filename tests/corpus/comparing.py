"""Whether an outcome is what a recording says, field by field."""

import base64
import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from contracts.content import ChatMessageV1, ReasoningPart, ServerToolCallPart, TextPart, ToolCallPart
from services.adapters.protocol import Answer, DeltaPiece, Failure
from tests.corpus.recording import Expected, ExpectedFailure, ToolCall

RETRY_AFTER_TOLERANCE_S = 2.0
"""Dates in headers count from now."""
Difference = tuple[str, str]
"""A field, and what stands against what."""
Extra = Callable[[Answer], Mapping[str, Any]]


def outcome_differences(expected: Expected | ExpectedFailure, outcome: Answer | Failure, pieces: list[DeltaPiece], extra: Extra | None) -> Iterator[Difference]:
    """All fields in which the outcome is not what was expected; none, where they are equal."""
    if isinstance(expected, ExpectedFailure):
        yield from _failure(expected, outcome)
    elif isinstance(outcome, Failure):
        yield "outcome", f"an answer is expected; got {outcome.type}: {outcome.message[:200]}"
    else:
        yield from _answer(expected, outcome)
        if expected.streamed:
            yield from _told(outcome.message, pieces)
        if expected.extra:
            held = extra(outcome) if extra is not None else {}
            for name, value in expected.extra.items():
                yield from _differ(f"extra.{name}", value, held.get(name))


def _failure(expected: ExpectedFailure, outcome: Answer | Failure) -> Iterator[Difference]:
    if isinstance(outcome, Answer):
        yield "outcome", f"a failure {expected.type!r} is expected; got an answer"
        return
    yield from _differ("error class", expected.type, outcome.type)
    advice, given = expected.retry_after_s, outcome.retry_after_s
    if (advice is None) != (given is None) or (advice is not None and given is not None and abs(advice - given) > RETRY_AFTER_TOLERANCE_S):
        yield "retry_after_s", _against(advice, given)


def _answer(expected: Expected, answer: Answer) -> Iterator[Difference]:
    if expected.embeddings is not None:
        yield from _vectors(expected.embeddings, answer)
    else:
        parts = answer.message.all_parts() if answer.message is not None else ()
        yield from _differ("text", expected.text, "".join(part.content for part in parts if isinstance(part, TextPart)))
        yield from _differ("reasoning", expected.reasoning, "".join(part.content or "" for part in parts if isinstance(part, ReasoningPart)))
        yield from _differ("server tools", expected.server_tools, tuple(part.name for part in parts if isinstance(part, ServerToolCallPart)))
        yield from _calls(expected.tool_calls, [part for part in parts if isinstance(part, ToolCallPart)])
    if expected.finish_reason is not None:
        yield from _differ("finish_reason", expected.finish_reason, answer.finish_reason)
    for name, tokens in expected.usage.items():
        yield from _differ(f"usage.{name}", tokens, getattr(answer.usage, name))
    if expected.response_id is not None:
        yield from _differ("response_id", expected.response_id, answer.response_id)
    if expected.response_model is not None:
        yield from _differ("response_model", expected.response_model, answer.response_model)


def _calls(expected: tuple[ToolCall, ...], parts: list[ToolCallPart]) -> Iterator[Difference]:
    yield from _differ("tool calls", [call.name for call in expected], [part.name for part in parts])
    for at, (call, part) in enumerate(zip(expected, parts, strict=False)):
        yield from _differ(f"tool_calls.{at}.arguments", call.arguments, _arguments(part))
        if call.id is not None:
            yield from _differ(f"tool_calls.{at}.id", call.id, part.id)


def _arguments(part: ToolCallPart) -> Any:
    raw = (part.provider_data or {}).get("raw_arguments")
    return raw if raw is not None and not part.arguments else part.arguments


def _told(message: ChatMessageV1 | None, pieces: list[DeltaPiece]) -> Iterator[Difference]:
    """The pieces of each part, put together, are the part."""
    told: dict[int, list[str]] = {}
    for piece in pieces:
        told.setdefault(piece.part, []).append(piece.content or "" if piece.tool_call is None else piece.tool_call.arguments_delta or "")
    for at, part in enumerate(message.all_parts() if message is not None else ()):
        text = "".join(told.get(at, []))
        if isinstance(part, TextPart | ReasoningPart):
            yield from _differ(f"deltas of part {at}", part.content or "", text)
        elif isinstance(part, ToolCallPart):
            wanted = _arguments(part)
            yield from _differ(f"deltas of part {at}", wanted, text if isinstance(wanted, str) else json.loads(text or "{}"))


def _vectors(expected: tuple[tuple[float, ...], ...], answer: Answer) -> Iterator[Difference]:
    given = [_floats(vector) for vector in answer.embeddings or ()]
    yield from _differ("number of vectors", len(expected), len(given))
    for at, (wanted, vector) in enumerate(zip(expected, given, strict=False)):
        if len(wanted) != len(vector) or not all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) for a, b in zip(wanted, vector, strict=True)):
            yield f"embeddings.{at}", f"{len(wanted)} expected numbers {wanted[:3]}…, got {len(vector)}: {vector[:3]}…"


def _floats(vector: str | list[float]) -> tuple[float, ...]:
    if isinstance(vector, str):
        raw = base64.b64decode(vector)
        return struct.unpack(f"<{len(raw) // 4}f", raw)
    return tuple(vector)


def _differ(name: str, expected: Any, got: Any) -> Iterator[Difference]:
    if expected != got:
        yield name, _against(expected, got)


def _against(expected: Any, got: Any) -> str:
    """Both, from where they begin to differ."""
    one, other = (value if isinstance(value, str) else repr(value) for value in (expected, got))
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, same - 40)
    return f"expected {one[start : start + 160]!r}, got {other[start : start + 160]!r}"
