"""A streamed answer of Ollama's own API put together again: each line is a piece, the last one says why it ended."""

from dataclasses import replace
from typing import Any

from pydantic_core import from_json, to_json

from contracts.content import ChatMessageV1, Part, ReasoningPart, TextPart, ToolCallPart
from contracts.delta import ToolCallDeltaV1

from ..openai.errors import failure_in_body
from ..protocol import Answer, DeltaPiece, Event, Failure
from ..reading import text_or_none
from .answers import answer_of, call_part, calls_in


class StreamedAnswer:
    """Feed each line; `done` after the last one; then `result`."""

    def __init__(self) -> None:
        self.done = False
        self._parts: list[Part] = []
        self._last: dict[str, Any] = {}
        self._failure: Failure | None = None

    @property
    def complete(self) -> bool:
        """The server said that all was sent."""
        return self.done

    def feed(self, event: Event, *, cut: bool = False) -> list[DeltaPiece]:
        """The pieces in one line. An error or unreadable data ends the stream, unless the line was `cut` off by its end."""
        try:
            line = from_json(event.data)
        except ValueError:
            return [] if cut else self._fail(Failure("unavailable", "the provider sent a line that is not JSON"))
        if not isinstance(line, dict):
            return self._fail(Failure("unavailable", "the provider sent a line that is not a JSON object"))
        if line.get("error"):
            return self._fail(failure_in_body(line["error"]))
        message = line.get("message")
        pieces = self._pieces(message) if isinstance(message, dict) else []
        if line.get("done") is True:
            self._last, self.done = line, True
        return pieces

    def _fail(self, failure: Failure) -> list[DeltaPiece]:
        self._failure, self.done = failure, True
        return []

    def _pieces(self, message: dict[str, Any]) -> list[DeltaPiece]:
        pieces = self._grow(ReasoningPart, text_or_none(message.get("thinking"))) + self._grow(TextPart, text_or_none(message.get("content")))
        for call in calls_in(message):
            part = call_part(call, sum(isinstance(one, ToolCallPart) for one in self._parts))
            self._parts.append(part)
            told = ToolCallDeltaV1(id=part.id, name=part.name, arguments_delta=to_json(part.arguments).decode())
            pieces.append(DeltaPiece("tool_call", len(self._parts) - 1, tool_call=told))
        return pieces

    def _grow(self, kind: type[TextPart] | type[ReasoningPart], more: str | None) -> list[DeltaPiece]:
        """More of the one text, or of the one thought."""
        if more is None:
            return []
        at = next((at for at, part in enumerate(self._parts) if isinstance(part, kind)), len(self._parts))
        if at == len(self._parts):
            self._parts.append(kind(content=""))
        before = self._parts[at]
        self._parts[at] = kind(content=(before.content or "" if isinstance(before, TextPart | ReasoningPart) else "") + more)
        return [DeltaPiece("text" if kind is TextPart else "reasoning", at, more)]

    def result(self) -> Answer | Failure:
        """The whole answer, or why there is none."""
        partial = ChatMessageV1(role="assistant", parts=tuple(self._parts)) if self._parts else None
        if self._failure is not None:
            return replace(self._failure, partial=partial)
        if not self.done:
            return Failure("truncated_stream", "the provider's stream ended before the model had finished", partial=partial)
        return answer_of(tuple(self._parts), self._last)
