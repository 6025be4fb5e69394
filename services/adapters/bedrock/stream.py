"""A ConverseStream put together again, event by event. Pure."""

from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_core import from_json

from contracts.content import ChatMessageV1, Part
from contracts.delta import ToolCallDeltaV1

from ..protocol import Answer, DeltaPiece, Event, Failure
from ..reading import text_or_none
from .answers import SERVER_CALL, answer_of, part_of
from .errors import failure_in_stream
from .framing import ERROR


@dataclass
class _Building:
    """One content block so far, by the kinds of pieces that it was made of."""

    start: dict[str, Any] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    signature: list[str] = field(default_factory=list)
    redacted: list[str] = field(default_factory=list)
    input: list[str] = field(default_factory=list)
    citations: list[Any] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)

    def block(self) -> dict[str, Any]:
        """The block as it would stand in a whole answer. An input that is no JSON stays as the text it was."""
        text = "".join(self.texts)
        if isinstance(call := self.start.get("toolUse"), dict):
            return {"toolUse": {**call, "input": _decoded("".join(self.input))}}
        if isinstance(result := self.start.get("toolResult"), dict):
            return {"toolResult": {**result, "content": self.results}}
        if self.redacted:
            return {"reasoningContent": {"redactedContent": "".join(self.redacted)}}
        if self.reasoning or self.signature:
            signed = {"signature": "".join(self.signature)} if self.signature else {}
            return {"reasoningContent": {"reasoningText": {"text": "".join(self.reasoning), **signed}}}
        if self.citations:
            return {"citationsContent": {"content": [{"text": text}] if text else [], "citations": self.citations}}
        return self.start if self.start and not text else {"text": text}


class StreamedConverse:
    """Feed each event; `done` after the last one; then `result`."""

    def __init__(self, output_tool: str | None = None) -> None:
        self.done = False
        self._output_tool = output_tool
        self._blocks: dict[int, _Building] = {}
        self._reason: str | None = None
        self._usage: Any = None
        self._failure: Failure | None = None

    @property
    def complete(self) -> bool:
        """The model said why it stopped, or the server that all was sent."""
        return self.done or self._reason is not None

    def feed(self, event: Event, *, cut: bool = False) -> list[DeltaPiece]:
        """The pieces in one event. An exception or unreadable data ends the stream."""
        try:
            data = from_json(event.data, allow_inf_nan=False)
        except ValueError:
            data = None
        if event.name == ERROR or event.name.endswith("Exception"):
            return self._fail(failure_in_stream(event.name, data))
        if not isinstance(data, dict):
            return self._fail(Failure("unavailable", f"the provider sent an event {event.name!r} that is not a JSON object"))
        if event.name == "contentBlockDelta":
            return self._delta(data.get("contentBlockIndex"), data.get("delta"))
        if event.name == "contentBlockStart":
            return self._start(data.get("contentBlockIndex"), data.get("start"))
        if event.name == "messageStop":
            self._reason = text_or_none(data.get("stopReason")) or "end_turn"
        elif event.name == "metadata":
            self._usage, self.done = data.get("usage"), self._reason is not None
        return []

    def _fail(self, failure: Failure) -> list[DeltaPiece]:
        self._failure, self.done = failure, True
        return []

    def _start(self, index: Any, start: Any) -> list[DeltaPiece]:
        if not isinstance(index, int) or not isinstance(start, dict):
            return []
        building = self._building(index)
        building.start = start
        call = start.get("toolUse")
        if not isinstance(call, dict) or self._is_quiet(building) or self._is_output(building):
            return []
        called = ToolCallDeltaV1(id=text_or_none(call.get("toolUseId")), name=text_or_none(call.get("name")), arguments_delta="")
        return [DeltaPiece("tool_call", self._at(index), tool_call=called)]

    def _building(self, index: int) -> _Building:
        """Texts and reasoning begin without a start."""
        return self._blocks.setdefault(index, _Building())

    def _delta(self, index: Any, delta: Any) -> list[DeltaPiece]:
        if not isinstance(index, int) or not isinstance(delta, dict):
            return []
        building = self._building(index)
        if text := text_or_none(delta.get("text")):
            building.texts.append(text)
            return [DeltaPiece("text", self._at(index), text)]
        if isinstance(call := delta.get("toolUse"), dict) and (text := text_or_none(call.get("input"))):
            return self._input(index, building, text)
        if isinstance(reasoning := delta.get("reasoningContent"), dict):
            return self._reasoning(index, building, reasoning)
        if isinstance(citation := delta.get("citation"), dict):
            building.citations.append(citation)
        if isinstance(results := delta.get("toolResult"), list):
            building.results += results
        return []

    def _input(self, index: int, building: _Building, text: str) -> list[DeltaPiece]:
        building.input.append(text)
        if self._is_output(building):
            return [DeltaPiece("text", self._at(index), text)]
        if self._is_quiet(building):
            return []
        return [DeltaPiece("tool_call", self._at(index), tool_call=ToolCallDeltaV1(arguments_delta=text))]

    def _reasoning(self, index: int, building: _Building, reasoning: dict[str, Any]) -> list[DeltaPiece]:
        for name, pieces in (("signature", building.signature), ("redactedContent", building.redacted)):
            if text := text_or_none(reasoning.get(name)):
                pieces.append(text)
        if text := text_or_none(reasoning.get("text")):
            building.reasoning.append(text)
            return [DeltaPiece("reasoning", self._at(index), text)]
        return []

    def _is_output(self, building: _Building) -> bool:
        return self._output_tool is not None and (building.start.get("toolUse") or {}).get("name") == self._output_tool

    def _is_quiet(self, building: _Building) -> bool:
        """A server's own tool: nobody has to act on it."""
        return (building.start.get("toolUse") or {}).get("type") == SERVER_CALL

    def _at(self, index: int) -> int:
        """Where the block's part will stand in the message."""
        return list(self._blocks).index(index)

    def result(self) -> Answer | Failure:
        """The whole answer, or why there is none."""
        parts = tuple(part_of(building.block(), self._output_tool) for building in self._blocks.values())
        if self._failure is None and self.complete:
            return answer_of(parts, self._reason, self._usage)
        failure = self._failure or Failure("truncated_stream", "the provider's stream ended before the model had finished")
        return replace(failure, partial=_partial(parts))


def _partial(parts: tuple[Part, ...]) -> ChatMessageV1 | None:
    return ChatMessageV1(role="assistant", parts=parts) if parts else None


def _decoded(written: str) -> Any:
    try:
        return from_json(written, allow_inf_nan=False) if written else {}
    except ValueError:
        return written
