"""A streamed generateContent put together again: each event is a whole response that carries on where the last one ended."""

from dataclasses import replace
from typing import Any

from pydantic_core import from_json, to_json

from contracts.content import ChatMessageV1, Part, ReasoningPart, TextPart, ToolCallPart
from contracts.delta import ToolCallDeltaV1

from ..protocol import Answer, Body, DeltaPiece, Event, Failure
from .answers import answer_of, blocked, candidate_of, invented_id, wire_parts
from .errors import failure_in_body
from .parts import incoming
from .pieces import CallPieces

Text = TextPart | ReasoningPart


class StreamedAnswer:
    """Feed each event; the stream has no last word of its own: it ends after the finishReason, with the usage beside it."""

    def __init__(self) -> None:
        self.done = False
        self._parts: list[Part] = []
        self._texts: dict[int, list[str]] = {}
        self._pieces = CallPieces()
        self._facts: Body = {}
        self._candidate: Body = {}
        self._failure: Failure | None = None

    @property
    def complete(self) -> bool:
        """The model said why it stopped, or Google that the prompt was blocked."""
        return self._failure is not None or "finishReason" in self._candidate or self._blocked()

    def _blocked(self) -> bool:
        feedback = self._facts.get("promptFeedback")
        return isinstance(feedback, dict) and "blockReason" in feedback

    def feed(self, event: Event, *, cut: bool = False) -> list[DeltaPiece]:
        """The pieces in one event. An error object or unreadable data ends the stream, unless the event was `cut` off by its end."""
        try:
            chunk = from_json(event.data, allow_inf_nan=False)
        except ValueError:
            return [] if cut else self._fail(Failure("unavailable", "the provider sent an event that is not JSON"))
        return self.take(chunk)

    def take(self, chunk: Any) -> list[DeltaPiece]:
        """The pieces in one decoded response."""
        if not isinstance(chunk, dict):
            return self._fail(Failure("unavailable", "the provider sent an event that is not a JSON object"))
        if chunk.get("error"):
            return self._fail(failure_in_body(chunk["error"]))
        usage = self._facts.get("usageMetadata", {})
        self._facts |= chunk
        if isinstance(usage, dict) and isinstance(newer := chunk.get("usageMetadata", {}), dict):
            self._facts["usageMetadata"] = usage | newer
        candidate = candidate_of(chunk)
        if candidate is None:
            return []
        self._candidate |= {name: value for name, value in candidate.items() if name != "content" and value not in (None, {})}
        return [piece for wire in wire_parts(candidate) for piece in self._part(wire)]

    def _fail(self, failure: Failure) -> list[DeltaPiece]:
        self._failure, self.done = failure, True
        return []

    def _part(self, wire: Body) -> list[DeltaPiece]:
        if isinstance(call := wire.get("functionCall"), dict) and self._pieces.takes(call):
            whole = self._pieces.add(wire)
            return [] if whole is None else self._part(whole)
        part = incoming(wire, invented_id(self._facts.get("responseId"), self._parts))
        if part is None:
            return []
        if isinstance(part, TextPart | ReasoningPart):
            return self._text(part)
        self._parts.append(part)
        if not isinstance(part, ToolCallPart):
            return []
        told = ToolCallDeltaV1(id=part.id, name=part.name, arguments_delta=to_json(part.arguments).decode())
        return [DeltaPiece("tool_call", len(self._parts) - 1, tool_call=told)]

    def _text(self, part: Text) -> list[DeltaPiece]:
        """A text carries on the one before it; one with a signature stays a part of its own, or the signature would not hold."""
        at = len(self._parts) - 1
        if at in self._texts and not _signed(part) and not _signed(self._parts[at]) and type(self._parts[at]) is type(part):
            self._texts[at].append(part.content or "")
        elif part.content or _signed(part):
            self._parts.append(part)
            at = len(self._parts) - 1
            self._texts[at] = [part.content or ""]
        if not part.content:
            return []
        return [DeltaPiece("reasoning" if isinstance(part, ReasoningPart) else "text", at, part.content)]

    def result(self) -> Answer | Failure:
        """The whole answer, or why there is none."""
        parts = [part.model_copy(update={"content": "".join(self._texts[at])}) if at in self._texts else part for at, part in enumerate(self._parts)]
        partial = ChatMessageV1(role="assistant", parts=tuple(parts)) if parts else None
        if self._failure is not None:
            return replace(self._failure, partial=partial)
        if "finishReason" in self._candidate:
            return answer_of(parts, self._candidate, self._facts)
        if self._blocked():
            return replace(blocked(self._facts["promptFeedback"], self._facts.get("usageMetadata")), partial=partial)
        return Failure("truncated_stream", "the provider's stream ended before the model had finished", partial=partial)


def _signed(part: Part) -> bool:
    """Holds more than its words."""
    if isinstance(part, ReasoningPart):
        return part.signature is not None or set(part.provider_data or {}) != {"thought"}
    return part.provider_data is not None


def listed_answer(body: Any) -> Answer | Failure:
    """A stream that came as one JSON array, as Google sends it without `alt=sse`."""
    answer = StreamedAnswer()
    for chunk in body if isinstance(body, list) else [body]:
        answer.take(chunk)
    return answer.result()
