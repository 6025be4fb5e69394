"""Puts the pieces of a streamed answer in order: (n, seq) counts, a higher n begins again, a gap means that the result must be read."""

from collections.abc import Callable
from typing import Any


def text_of(result: dict[str, Any]) -> str:
    message = result["message"] or {}
    return "".join(part["content"] for part in message.get("parts") or [] if part["type"] == "text")


class InOrder:
    def __init__(self, show: Callable[[str], None]) -> None:
        self.show = show
        self.n, self.seq, self.text, self.gap = 0, -1, "", False

    def take(self, delta: dict[str, Any]) -> None:
        if delta["n"] < self.n:
            return  # of a call that was given up
        if delta["n"] > self.n:
            self.begin_again(delta["n"])
        if self.gap or delta["seq"] <= self.seq:
            return  # seen before
        if delta["seq"] != self.seq + 1:
            self.gap = True
            return
        self.seq = delta["seq"]
        if delta["type"] == "text" and delta["content"]:
            self.text += delta["content"]
            self.show(delta["content"])

    def begin_again(self, n: int) -> None:
        if self.text:
            self.show("\n[another call answers]\n")
        self.n, self.seq, self.text, self.gap = n, -1, "", False

    def finish(self, result: dict[str, Any]) -> None:
        """Only the result is final: what it says replaces what was shown, where they differ."""
        whole = text_of(result)
        if whole != self.text:
            self.show(("\n[as it was in the end]\n" if self.text else "") + whole)
        self.show("\n")
