"""Calls whose arguments are streamed (`streamFunctionCallArguments`): each piece names a JSON path and what stands there."""

import re
from itertools import pairwise
from typing import Any

from ..protocol import Body
from ..reading import objects_in

STEP = re.compile(r"\.([^.\[\]]+)|\[(\d{1,9})\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")
"""One step of a path as Google writes it: a member or an index (RFC 9535)."""
MOST_ITEMS = 9999
VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")


class CallPieces:
    """One call at a time; `add` gives the call's part when its last piece has come."""

    def __init__(self) -> None:
        self._part: Body | None = None
        self._args: Body = {}

    def takes(self, call: Body) -> bool:
        """Whether this is a piece of a call, not a whole one."""
        return self._part is not None or "partialArgs" in call or bool(call.get("willContinue"))

    def add(self, part: Body) -> Body | None:
        """The whole part, when this piece was the last."""
        call = part["functionCall"]
        if self._part is None:
            self._part, self._args = {name: value for name, value in part.items() if name != "functionCall"}, {}
            self._part["functionCall"] = {name: call[name] for name in ("id", "name") if name in call}
        for piece in objects_in(call.get("partialArgs")):
            self._put(piece)
        if call.get("willContinue"):
            return None
        whole, self._part = self._part, None
        whole["functionCall"]["args"] = self._args
        return whole

    def _put(self, piece: Body) -> None:
        """A text carries on what stands at its path already."""
        steps = [_step(found) for found in STEP.finditer(str(piece.get("jsonPath")))]
        name = next((name for name in VALUES if name in piece), None)
        if not steps or not isinstance(steps[0], str) or name is None or any(isinstance(step, int) and step > MOST_ITEMS for step in steps):
            return
        value = None if name == "nullValue" else piece[name]
        holder: Any = self._args
        for step, following in pairwise(steps):
            holder = _within(holder, step, [] if isinstance(following, int) else {})
        before = _within(holder, steps[-1], None)
        _set(holder, steps[-1], before + value if isinstance(before, str) and isinstance(value, str) else value)


def _step(found: re.Match[str]) -> str | int:
    return int(found[2]) if found[2] else next(name for name in found.group(1, 3, 4) if name is not None)


def _within(holder: Any, step: str | int, empty: Any) -> Any:
    """What stands at this step; `empty` is put there, where nothing does."""
    if isinstance(holder, list) and isinstance(step, int):
        holder.extend([None] * (step + 1 - len(holder)))
        if holder[step] is None:
            holder[step] = empty
        return holder[step]
    return holder.setdefault(str(step), empty) if isinstance(holder, dict) else None


def _set(holder: Any, step: str | int, value: Any) -> None:
    if isinstance(holder, list) and isinstance(step, int):
        holder[step] = value
    elif isinstance(holder, dict):
        holder[str(step)] = value
