"""A streamed response put together again, event by event."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pydantic_core import from_json

from contracts.content import ChatMessageV1, Part, ReasoningPart, TextPart, ToolCallPart
from contracts.delta import ToolCallDeltaV1

from ..protocol import Answer, Body, DeltaPiece, Event, Failure
from ..reading import text_or_none
from .answers import WAITING, answer_of, failed_with, failure_in, unreadable
from .items import CALLS, Key, called, is_aside, parts_of, type_of, written_in

Place = tuple[int, Key]
"""An item's place in the output, and a piece of it."""
TEXTS = {
    "response.output_text.delta": ("message", "content"),
    "response.refusal.delta": ("refusal", "content"),
    "response.reasoning_summary_text.delta": ("reasoning", "summary"),
    "response.reasoning_text.delta": ("reasoning", "content"),
}
"""Events that bring text: what kind of text, and in which list of its item it stands."""
ARGUMENTS = {"response.function_call_arguments.delta": "function_call", "response.custom_tool_call_input.delta": "custom_tool_call"}
ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})


class StreamedResponse:
    """Feed the data of each event; `done` after the last one; then `result`. Parts stand in the order in which they were first heard of."""

    def __init__(self, by: str | None = None, *, structured: bool = False) -> None:
        self.done = False
        self._by, self._structured = by, structured
        self._order: list[Place] = []
        self._told: dict[Place, list[str]] = {}
        self._kinds: dict[Place, str] = {}
        self._items: dict[int, Body] = {}
        self._finished: set[int] = set()
        self._parts: dict[Place, Part] = {}
        self._response: Body = {}
        self._failure: Failure | None = None

    @property
    def complete(self) -> bool:
        """The server said that all was sent."""
        return self.done

    def feed(self, event: Event, *, cut: bool = False) -> list[DeltaPiece]:
        """The pieces in one event. An error or unreadable data ends the stream, unless the event was `cut` off by its end."""
        if event.data.strip() == "[DONE]":
            return []
        try:
            said = from_json(event.data, allow_inf_nan=False)
        except ValueError:
            return [] if cut else self._fail(Failure("unavailable", "the provider sent an event that is not JSON"))
        if not isinstance(said, dict):
            return self._fail(Failure("unavailable", "the provider sent an event that is not a JSON object"))
        kind = text_or_none(said.get("type")) or event.name
        if kind == "error" or (said.get("error") and "response" not in said):
            return self._fail(failed_with(said.get("error") or said))
        if isinstance(response := said.get("response"), dict):
            self._response = response
        return list(self._heard(kind, said))

    def _heard(self, kind: str, said: Body) -> Iterable[DeltaPiece]:
        if kind in ENDS:
            yield from self._end(kind)
        elif kind in TEXTS:
            what, name = TEXTS[kind]
            index = self._at(said)
            aside = what == "message" and self._structured and is_aside(self._items.get(index, {}))
            yield from self._more((index, (name, _number(said.get(f"{name}_index")))), "reasoning" if aside else what, said.get("delta"))
        elif kind in ARGUMENTS:
            yield from self._more((self._at(said), ("call", 0)), ARGUMENTS[kind], said.get("delta"))
        elif kind == "response.output_item.added" and isinstance(item := said.get("item"), dict):
            yield from self._begin(self._at(said), item)
        elif kind == "response.output_item.done" and isinstance(item := said.get("item"), dict):
            yield from self._finish(self._at(said), item)

    def _fail(self, failure: Failure) -> list[DeltaPiece]:
        self._failure, self.done = failure, True
        return []

    def _at(self, said: Body) -> int:
        """The item that an event belongs to: by its index, else by its id, else the last one."""
        index, item = said.get("output_index"), said.get("item")
        if isinstance(index, int):
            return index
        named = said.get("item_id") or (item.get("id") if isinstance(item, dict) else None)
        last = max(self._items, default=-1)
        return next((at for at, known in self._items.items() if named and known.get("id") == named), last + 1 if isinstance(item, dict) else max(last, 0))

    def _slot(self, place: Place, kind: str) -> int:
        if place not in self._told:
            self._order.append(place)
            self._told[place], self._kinds[place] = [], kind
        return self._order.index(place)

    def _more(self, place: Place, kind: str, text: Any) -> Iterable[DeltaPiece]:
        if isinstance(text, str) and text:
            at = self._slot(place, kind)
            self._told[place].append(text)
            yield _piece(at, kind, text)

    def _begin(self, index: int, item: Body) -> Iterable[DeltaPiece]:
        """A call is told by its name before its arguments come."""
        self._items[index] = item
        if (kind := type_of(item)) in CALLS:
            place = (index, ("call", 0))
            call = ToolCallDeltaV1(id=text_or_none(item.get("call_id")), name=text_or_none(item.get("name")))
            yield DeltaPiece("tool_call", self._slot(place, kind), tool_call=call)

    def _finish(self, index: int, item: Body) -> Iterable[DeltaPiece]:
        """The whole item; what of it was not told yet is told now."""
        if type_of(item) in CALLS and (index, ("call", 0)) not in self._told:
            yield from self._begin(index, item)
        self._items[index] = item
        self._finished.add(index)
        for key, part in parts_of(item, index, self._by, structured=self._structured):
            place = (index, key)
            kind = "reasoning" if isinstance(part, ReasoningPart) else type_of(item)
            self._slot(place, kind)
            told, whole = "".join(self._told[place]), _words(part, item)
            if whole.startswith(told):
                yield from self._more(place, kind, whole[len(told) :])
            self._parts[place] = part.model_copy(update={"content": told}) if isinstance(part, ReasoningPart) and not part.content and told else part

    def _end(self, kind: str) -> Iterable[DeltaPiece]:
        """The last event holds the whole response; its output may be empty where the server keeps nothing."""
        self.done = True
        output = self._response.get("output")
        for place, item in enumerate(output if isinstance(output, list) else []):
            if isinstance(item, dict):
                index = next((at for at, known in self._items.items() if item.get("id") and known.get("id") == item["id"]), place)
                known = self._items.get(index, {})
                if index not in self._finished or known.get("type") == item.get("type"):
                    yield from self._finish(index, item)
        if not self._response:
            self._failure = unreadable(f"ends with an event {kind!r} that holds no response")
            return
        if self._response.get("status") in (None, *WAITING):
            self._response = {**self._response, "status": kind.removeprefix("response.")}
        self._failure = failure_in(self._response)

    def result(self) -> Answer | Failure:
        """The whole answer, or why there is none."""
        parts = tuple(self._parts.get(place) or self._partial(place) for place in self._order)
        partial = ChatMessageV1(role="assistant", parts=parts) if parts else None
        if self._failure is not None:
            return replace(self._failure, partial=partial)
        if not self.done:
            return Failure("truncated_stream", "the provider's stream ended before the response was complete", partial=partial)
        return answer_of(self._response, parts)

    def _partial(self, place: Place) -> Part:
        """A part whose item never was finished."""
        text, kind, item = "".join(self._told[place]), self._kinds[place], self._items.get(place[0], {})
        if kind in CALLS:
            return called({**item, "type": kind, "input" if kind == "custom_tool_call" else "arguments": text}, place[0])
        if kind == "reasoning":
            return ReasoningPart(content=text)
        return TextPart(content=text, provider_data={"refusal": True} if kind == "refusal" else None)


def _piece(at: int, kind: str, text: str) -> DeltaPiece:
    if kind in CALLS:
        return DeltaPiece("tool_call", at, tool_call=ToolCallDeltaV1(arguments_delta=text))
    return DeltaPiece("reasoning" if kind == "reasoning" else "text", at, text)


def _words(part: Part, item: Body) -> str:
    """What of a part is told in pieces."""
    if isinstance(part, ToolCallPart):
        return text_or_none(written_in(item)) or ""
    return part.content or "" if isinstance(part, TextPart | ReasoningPart) else ""


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
