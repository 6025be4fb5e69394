"""A streamed chat completion put together again, piece by piece."""

from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_core import from_json, to_json

from contracts.content import ChatMessageV1, Part, ReasoningPart, ServerToolCallResponsePart, TextPart, ToolCallPart
from contracts.delta import ToolCallDeltaV1

from ..protocol import Answer, DeltaPiece, Event, Failure
from ..reading import text_or_none
from .answers import called_with, content_of, cost_of, finish_of, made_call, one_of, reasoning_of, usage_of
from .beside import add_details, add_notes, details_of, executed_in, notes_of, reasoning_part, server_answer, server_call, thought_in, transcript_of
from .errors import failure_in_body


@dataclass
class _Building:
    """One part of the message so far; `key` tells whose pieces belong to it."""

    key: tuple[str, int]
    text: list[str] = field(default_factory=list)
    call_id: str | None = None
    name: str | None = None
    custom: bool = False
    extra: Any = None
    facts: dict[str, Any] = field(default_factory=dict)
    """What a provider says of a tool that it runs itself."""


class StreamedAnswer:
    """Feed the data of each event; `done` after the last one; then `result`."""

    def __init__(self) -> None:
        self.done = False
        self._parts: list[_Building] = []
        self._finish: str | None = None
        self._usage: Any = None
        self._model: str | None = None
        self._id: str | None = None
        self._failure: Failure | None = None
        self._choices = 1
        self._notes: dict[str, Any] = {}
        self._details: list[dict[str, Any]] = []

    @property
    def complete(self) -> bool:
        """The model said why it stopped, or the server that all was sent."""
        return self.done or self._finish is not None or self._failure is not None

    def feed(self, event: Event, *, cut: bool = False) -> list[DeltaPiece]:
        """The pieces in one event's data. An error object or unreadable data ends the stream, unless the event was `cut` off by its end."""
        data = event.data
        if data.strip() == "[DONE]":
            self.done = True
            return []
        try:
            chunk = from_json(data, allow_inf_nan=False)
        except ValueError:
            return [] if cut else self._fail(Failure("unavailable", "the provider sent an event that is not JSON"))
        if not isinstance(chunk, dict):
            return self._fail(Failure("unavailable", "the provider sent an event that is not a JSON object"))
        if chunk.get("error"):
            return self._fail(failure_in_body(chunk["error"]))
        self._facts(chunk)
        choices = chunk.get("choices")
        listed = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
        add_notes(self._notes, notes_of({}, chunk))
        return [piece for choice in listed for piece in self._choice(choice)]

    def _fail(self, failure: Failure) -> list[DeltaPiece]:
        self._failure, self.done = failure, True
        return []

    def _facts(self, chunk: dict[str, Any]) -> None:
        own = chunk.get("x_groq")
        for usage in (own.get("usage") if isinstance(own, dict) else None, chunk.get("usage")):
            self._usage = usage if isinstance(usage, dict) else self._usage
        self._model = text_or_none(chunk.get("model")) or self._model
        self._id = text_or_none(chunk.get("id")) or self._id

    def _choice(self, choice: dict[str, Any]) -> list[DeltaPiece]:
        index = choice.get("index")
        if isinstance(index, int) and index > 0:
            self._choices = max(self._choices, index + 1)
            return []
        self._finish = text_or_none(choice.get("finish_reason")) or self._finish
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return []
        thinking, text = content_of(delta.get("content"))
        details = details_of(delta)
        pieces = self._text("reasoning", reasoning_of(delta) + thinking or thought_in(details))
        if details:
            self._find(("reasoning", 0))
            add_details(self._details, details)
        for tool in executed_in(delta):
            self._executed(tool)
        notes = notes_of(delta, {})
        add_notes(self._notes, notes)
        pieces += self._text("text", text or transcript_of(notes))
        pieces += self._text("refusal", text_or_none(delta.get("refusal")) or "")
        calls = delta.get("tool_calls")
        if not calls and isinstance(delta.get("function_call"), dict):
            calls = [{"index": 0, "function": delta["function_call"]}]
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict):
                pieces.append(self._call(call))
        return pieces

    def _text(self, kind: str, text: str) -> list[DeltaPiece]:
        if not text:
            return []
        at = self._find((kind, 0))
        self._parts[at].text.append(text)
        return [DeltaPiece("reasoning" if kind == "reasoning" else "text", at, text)]

    def _find(self, key: tuple[str, int]) -> int:
        for at, part in enumerate(self._parts):
            if part.key == key:
                return at
        self._parts.append(_Building(key))
        return len(self._parts) - 1

    def _executed(self, tool: dict[str, Any]) -> None:
        """A tool of the provider's own: first its call, then what it gave."""
        index = tool.get("index") if isinstance(tool.get("index"), int) else 0
        call = self._parts[self._find(("server_call", int(index or 0)))]
        call.facts = {**call.facts, **{name: value for name, value in tool.items() if value is not None}}
        if server_answer(call.facts) is not None:
            self._parts[self._find(("server_answer", int(index or 0)))].facts = call.facts

    def _call(self, call: dict[str, Any]) -> DeltaPiece:
        called, arguments = called_with(call)
        call_id, name = text_or_none(call.get("id")), text_or_none(called)
        written = arguments if isinstance(arguments, str) else "" if arguments is None else to_json(arguments).decode()
        at = self._call_at(call.get("index"), call_id, name)
        building = self._parts[at]
        building.call_id, building.name = building.call_id or call_id, building.name or name
        building.text.append(written)
        building.custom = building.custom or isinstance(call.get("custom"), dict)
        building.extra = call.get("extra_content") or building.extra
        return DeltaPiece("tool_call", at, tool_call=ToolCallDeltaV1(id=call_id, name=name, arguments_delta=written))

    def _call_at(self, index: Any, call_id: str | None, name: str | None) -> int:
        """Which call a piece belongs to: by its index, but some servers number every call 0, or none."""
        calls = [at for at, part in enumerate(self._parts) if part.key[0] == "call"]
        same = [at for at in calls if self._parts[at].key[1] == index] if isinstance(index, int) else calls
        if same and (call_id is None or self._parts[same[-1]].call_id in (None, call_id)):
            return same[-1]
        if same and not name:
            return next((at for at in same if self._parts[at].call_id == call_id), same[-1])
        self._parts.append(_Building(("call", index if isinstance(index, int) else len(calls))))
        return len(self._parts) - 1

    def result(self) -> Answer | Failure:
        """The whole answer, or why there is none."""
        if self._failure is not None:
            return replace(self._failure, partial=self._message())
        if not self.complete:
            return Failure("truncated_stream", "the provider's stream ended before the model had finished", partial=self._message())
        if self._notes:
            self._find(("text", 0))
        parts = tuple(self._built(at, part) for at, part in enumerate(self._parts)) or (TextPart(content=""),)
        return Answer(
            message=ChatMessageV1(role="assistant", parts=parts),
            finish_reason=finish_of(
                self._finish,
                refused=any(part.key[0] == "refusal" for part in self._parts),
                called=any(isinstance(part, ToolCallPart) for part in parts),
            ),
            usage=usage_of(self._usage),
            response_model=self._model,
            response_id=self._id,
            warnings=one_of(self._choices),
            cost_usd=cost_of(self._usage),
        )

    def _message(self) -> ChatMessageV1 | None:
        """What there is so far."""
        parts = tuple(self._built(at, part) for at, part in enumerate(self._parts))
        return ChatMessageV1(role="assistant", parts=parts) if parts else None

    def _built(self, at: int, part: _Building) -> Part:
        text = "".join(part.text)
        if part.key[0] == "call":
            number = sum(other.key[0] == "call" for other in self._parts[:at])
            return made_call(part.call_id, number, part.name, text, custom=part.custom, extra=part.extra)
        if part.key[0] == "server_call":
            return server_call(part.facts)
        if part.key[0] == "server_answer":
            return server_answer(part.facts) or ServerToolCallResponsePart()
        if part.key[0] == "reasoning":
            return reasoning_part(text, self._details) or ReasoningPart()
        return TextPart(content=text, provider_data={"refusal": True} if part.key[0] == "refusal" else self._notes or None)
