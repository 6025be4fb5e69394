"""A streamed message put together again, event by event (https://platform.claude.com/docs/en/build-with-claude/streaming). Pure."""

from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_core import from_json

from contracts.content import ChatMessageV1, Part
from contracts.delta import ToolCallDeltaV1

from ..protocol import Answer, DeltaPiece, Event, Failure
from ..reading import text_or_none
from .answers import answer_of, part_of
from .errors import failure_in_body

APPENDED = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature", "compaction_delta": "content"}
"""Deltas that lengthen a field of their block."""


@dataclass
class _Building:
    """One content block so far; `json` gathers the pieces of a tool's input."""

    block: dict[str, Any]
    texts: dict[str, list[str]] = field(default_factory=dict)
    json: list[str] = field(default_factory=list)


class StreamedMessage:
    """Feed the data of each event; `done` after the last one; then `result`."""

    def __init__(self, output_tool: str | None = None) -> None:
        self.done = False
        self._output_tool = output_tool
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, _Building] = {}
        self._failure: Failure | None = None

    @property
    def complete(self) -> bool:
        """The model said why it stopped, or the server that all was sent."""
        return self.done or self._message.get("stop_reason") is not None or self._failure is not None

    def feed(self, event: Event, *, cut: bool = False) -> list[DeltaPiece]:
        """The pieces in one event's data. An error or unreadable data ends the stream, unless the event was `cut` off by its end."""
        try:
            data = from_json(event.data, allow_inf_nan=False)
        except ValueError:
            return [] if cut else self._fail(Failure("unavailable", "the provider sent an event that is not JSON"))
        if not isinstance(data, dict):
            return self._fail(Failure("unavailable", "the provider sent an event that is not a JSON object"))
        kind = data.get("type")
        if kind == "error" or (kind is None and data.get("error")):
            return self._fail(failure_in_body(data))
        if kind == "content_block_delta":
            return self._delta(data.get("index"), data.get("delta"))
        if kind == "content_block_start":
            return self._start(data.get("index"), data.get("content_block"))
        if kind == "message_start":
            self._facts(data.get("message"))
        elif kind == "message_delta":
            self._facts({**_dict(data.get("delta")), "usage": data.get("usage")})
        elif kind == "message_stop":
            self.done = True
        return []

    def _fail(self, failure: Failure) -> list[DeltaPiece]:
        self._failure, self.done = failure, True
        return []

    def _facts(self, message: Any) -> None:
        """What a message says beside its content; what comes later and is not null, holds."""
        given = {name: value for name, value in _dict(message).items() if value is not None and name != "content"}
        self._usage |= {name: value for name, value in _dict(given.pop("usage", None)).items() if value is not None}
        self._message |= given

    def _start(self, index: Any, block: Any) -> list[DeltaPiece]:
        if not isinstance(index, int) or not isinstance(block, dict):
            return []
        building = self._blocks[index] = _Building({name: value for name, value in block.items() if name not in ("text", "thinking", "signature")})
        if block.get("type") == "tool_use" and not self._is_output(building):
            called = ToolCallDeltaV1(id=text_or_none(block.get("id")), name=text_or_none(block.get("name")), arguments_delta="")
            return [DeltaPiece("tool_call", self._at(index), tool_call=called)]
        if text := text_or_none(block.get("signature")):
            building.texts["signature"] = [text]
        return [piece for name in ("text", "thinking") if (text := text_or_none(block.get(name))) for piece in self._append(index, building, name, text)]

    def _delta(self, index: Any, delta: Any) -> list[DeltaPiece]:
        building = self._blocks.get(index) if isinstance(index, int) else None
        if building is None or not isinstance(delta, dict):
            return []
        kind = delta.get("type")
        if kind == "input_json_delta" and (text := text_or_none(delta.get("partial_json"))):
            return self._input(index, building, text)
        if kind == "citations_delta":
            building.block["citations"] = [*(building.block.get("citations") or []), delta.get("citation")]
        elif isinstance(kind, str) and (name := APPENDED.get(kind)) and (text := text_or_none(delta.get(name))):
            return self._append(index, building, name, text)
        return []

    def _append(self, index: int, building: _Building, name: str, text: str) -> list[DeltaPiece]:
        building.texts.setdefault(name, []).append(text)
        if name == "text":
            return [DeltaPiece("text", self._at(index), text)]
        return [DeltaPiece("reasoning", self._at(index), text)] if name == "thinking" else []

    def _input(self, index: int, building: _Building, text: str) -> list[DeltaPiece]:
        building.json.append(text)
        if self._is_output(building):
            return [DeltaPiece("text", self._at(index), text)]
        if building.block.get("type") != "tool_use":
            return []
        return [DeltaPiece("tool_call", self._at(index), tool_call=ToolCallDeltaV1(arguments_delta=text))]

    def _is_output(self, building: _Building) -> bool:
        return self._output_tool is not None and building.block.get("type") == "tool_use" and building.block.get("name") == self._output_tool

    def _at(self, index: int) -> int:
        """Where the block's part will stand in the message."""
        return list(self._blocks).index(index)

    def result(self) -> Answer | Failure:
        """The whole answer, or why there is none."""
        parts = tuple(part_of(_built(building), self._output_tool) for building in self._blocks.values())
        if self._failure is None and self.complete:
            return answer_of({**self._message, "usage": self._usage}, parts)
        failure = self._failure or Failure("truncated_stream", "the provider's stream ended before the model had finished")
        return replace(failure, partial=_partial(parts))


def _partial(parts: tuple[Part, ...]) -> ChatMessageV1 | None:
    return ChatMessageV1(role="assistant", parts=parts) if parts else None


def _built(building: _Building) -> dict[str, Any]:
    """The block as it would stand in a whole answer. An input that is no JSON object stays as the text it was."""
    block = {**building.block, **{name: "".join(texts) for name, texts in building.texts.items()}}
    if building.json:
        written = "".join(building.json)
        try:
            block["input"] = from_json(written, allow_inf_nan=False)
        except ValueError:
            block["input"] = written
    return block


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
