"""A streamed chat put together again: https://docs.cohere.com/v2/docs/streaming, from message-start to message-end."""

from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_core import from_json

from contracts.content import ChatMessageV1, Part, ReasoningPart, TextPart
from contracts.delta import ToolCallDeltaV1

from ..protocol import Answer, Body, DeltaPiece, Event, Failure
from ..reading import text_or_none, tool_call_part
from .answers import answer_of, plan_part
from .errors import failure_in_body

Key = tuple[str, int]
"""What kind of part, and Cohere's index of it: content blocks and calls are numbered apart."""


@dataclass
class _Building:
    key: Key
    text: list[str] = field(default_factory=list)
    call_id: str | None = None
    name: str | None = None

    def part(self, number: int) -> Part:
        text = "".join(self.text)
        match self.key[0]:
            case "call":
                return tool_call_part(self.call_id, number, self.name, text)
            case "plan":
                return plan_part(text)
            case "thinking":
                return ReasoningPart(content=text)
            case _:
                return TextPart(content=text)


class StreamedAnswer:
    """Feed each event; `done` after message-end; then `result`."""

    def __init__(self) -> None:
        self.done = False
        self._parts: list[_Building] = []
        self._citations: list[Any] = []
        self._id: str | None = None
        self._end: Body | None = None
        self._failure: Failure | None = None

    @property
    def complete(self) -> bool:
        """Cohere said that all was sent."""
        return self._end is not None or self._failure is not None

    def feed(self, event: Event, *, cut: bool = False) -> list[DeltaPiece]:
        """The pieces in one event. An error or unreadable data ends the stream, unless the event was `cut` off by its end."""
        if event.data.strip() == "[DONE]":
            self.done = self.complete
            return []
        try:
            told = from_json(event.data, allow_inf_nan=False)
        except ValueError:
            return [] if cut else self._fail(Failure("unavailable", "the provider sent an event that is not JSON"))
        if not isinstance(told, dict):
            return self._fail(Failure("unavailable", "the provider sent an event that is not a JSON object"))
        kind, delta = told.get("type"), _object(told.get("delta"))
        self._id = self._id or text_or_none(told.get("id"))
        if kind == "message-end":
            return self._ended(delta)
        if kind is None and _text(told, "message"):
            return self._fail(failure_in_body(told))
        index = told.get("index")
        return self._piece(kind, index if isinstance(index, int) else 0, _object(delta.get("message")))

    def _fail(self, failure: Failure) -> list[DeltaPiece]:
        self._failure, self.done = failure, True
        return []

    def _ended(self, delta: Body) -> list[DeltaPiece]:
        self._end, self.done = delta, True
        if error := text_or_none(delta.get("error")):
            return self._fail(failure_in_body(error))
        return []

    def _piece(self, kind: Any, index: int, message: Body) -> list[DeltaPiece]:
        match kind:
            case "content-start" | "content-delta":
                return self._content(index, _object(message.get("content")))
            case "tool-plan-delta":
                return self._words(("plan", 0), _text(message, "tool_plan"))
            case "tool-call-start" | "tool-call-delta":
                return self._call(index, _object(message.get("tool_calls")))
            case "citation-start" if isinstance(citation := message.get("citations"), dict):
                self._citations.append(citation)
        return []

    def _content(self, index: int, content: Body) -> list[DeltaPiece]:
        return self._words(("thinking", index), _text(content, "thinking")) + self._words(("text", index), _text(content, "text"))

    def _words(self, key: Key, text: str) -> list[DeltaPiece]:
        if not text:
            return []
        at = self._find(key)
        self._parts[at].text.append(text)
        return [DeltaPiece("text" if key[0] == "text" else "reasoning", at, text)]

    def _call(self, index: int, call: Body) -> list[DeltaPiece]:
        function = _object(call.get("function"))
        at = self._find(("call", index))
        building, written = self._parts[at], _text(function, "arguments")
        call_id, name = text_or_none(call.get("id")), text_or_none(function.get("name"))
        building.call_id, building.name = building.call_id or call_id, building.name or name
        building.text.append(written)
        return [DeltaPiece("tool_call", at, tool_call=ToolCallDeltaV1(id=call_id, name=name, arguments_delta=written))]

    def _find(self, key: Key) -> int:
        for at, building in enumerate(self._parts):
            if building.key == key:
                return at
        self._parts.append(_Building(key))
        return len(self._parts) - 1

    def result(self) -> Answer | Failure:
        """The whole answer, or why there is none."""
        calls = [building for building in self._parts if building.key[0] == "call"]
        parts = [building.part(calls.index(building) if building in calls else 0) for building in self._parts]
        partial = ChatMessageV1(role="assistant", parts=tuple(parts)) if parts else None
        if self._failure is not None:
            return replace(self._failure, partial=partial)
        if self._end is None:
            return Failure("truncated_stream", "the provider's stream ended before the model had finished", partial=partial)
        return answer_of(parts, self._citations, {"id": self._id, **self._end})


def _object(value: Any) -> Body:
    return value if isinstance(value, dict) else {}


def _text(fields: Body, name: str) -> str:
    return text_or_none(fields.get(name)) or ""
