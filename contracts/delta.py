"""A piece of a streamed answer, for whoever shows it as it arrives."""

from typing import Literal

from .base import Open
from .outcome import FinishReason


class ToolCallDeltaV1(Open):
    id: str | None = None
    name: str | None = None
    arguments_delta: str = ""


class DeltaV1(Open):
    """`(n, seq)` orders; a higher `n` discards lower ones; a gap means: read the result. The last of an `n` is `done`."""

    request_id: str
    n: int
    seq: int
    part: int = 0
    type: Literal["text", "reasoning", "tool_call"] = "text"
    content: str | None = None
    tool_call: ToolCallDeltaV1 | None = None
    done: bool = False
    finish_reason: FinishReason | None = None
