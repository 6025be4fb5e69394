"""What a caller asks the fake provider to do, read from markers like `[[status 503 x2]]` in a prompt or a model's name."""

import re
from dataclasses import dataclass, field

MARKER = re.compile(r"\[\[(\w+)(?: (.*?))?\]\](?!\])", re.DOTALL)
TIMES = re.compile(r"^(.*?)(?: ?x(\d+))?$", re.DOTALL)


@dataclass(frozen=True)
class Behaviour:
    """How to answer one call. Seconds throughout."""

    delay_s: float | None = None
    status: int | None = None
    retry_after: str | None = None
    text: str | None = None
    stall: bool = False
    """Accept the call and never answer."""
    cut: int | None = None
    """Break the connection after so many pieces of a stream, or before the answer."""
    garbage: bool = False
    finish_reason: str = "stop"
    dimensions: int = 8
    pace_s: float = 0.02
    """Between the pieces of a stream."""
    cached: int | None = None
    """How many of the prompt's tokens are said to come from a cache."""
    tool: str | None = None
    """`NAME ARGUMENTS`: call this tool, unless the last message is its answer."""


@dataclass
class Script:
    """Remembers how often a marker with a count was obeyed, for each prompt."""

    obeyed: dict[tuple[str, str], int] = field(default_factory=dict)

    def behaviour(self, prompt: str, model: str) -> Behaviour:
        """The behaviour for this call: `[[NAME VALUE xN]]` holds for the first N calls with this prompt.

        Known: `delay S`, `status CODE`, `retry_after S`, `json TEXT`, `text TEXT`, `stall`, `cut N`, `garbage`, `finish REASON`, `dimensions N`,
        `pace S`, `cached N`, `tool NAME ARGUMENTS`.
        """
        chosen: dict[str, object] = {}
        for name, raw in MARKER.findall(model) + MARKER.findall(prompt):
            value, times = _split(raw)
            if times is not None and not self._left(prompt, f"{name} {raw}", times):
                continue
            chosen.update(_setting(name, value))
        return Behaviour(**chosen)  # type: ignore[arg-type]  # _setting gives each field its own type

    def _left(self, prompt: str, marker: str, times: int) -> bool:
        key = (prompt, marker)
        self.obeyed[key] = self.obeyed.get(key, 0) + 1
        return self.obeyed[key] <= times


def _split(raw: str) -> tuple[str, int | None]:
    found = TIMES.match(raw)
    if found is None:
        return raw, None
    return found.group(1), int(found.group(2)) if found.group(2) else None


def _setting(name: str, value: str) -> dict[str, object]:
    match name:
        case "delay":
            return {"delay_s": float(value)}
        case "status":
            return {"status": int(value)}
        case "retry_after":
            return {"retry_after": value}
        case "json" | "text":
            return {"text": value}
        case "stall":
            return {"stall": True}
        case "cut":
            return {"cut": int(value)}
        case "garbage":
            return {"garbage": True}
        case "finish":
            return {"finish_reason": value}
        case "dimensions":
            return {"dimensions": int(value)}
        case "pace":
            return {"pace_s": float(value)}
        case "cached":
            return {"cached": int(value)}
        case "tool":
            return {"tool": value}
    raise ValueError(f"the fake provider knows no marker {name!r}; see Script.behaviour for those it knows")
