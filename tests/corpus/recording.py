"""One recorded HTTP interaction, and what is known of it before any adapter sees it."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.request import ChatRequestV1, EmbedRequestV1


@dataclass(frozen=True)
class Recording:
    """A line of the corpus; its README names the fields."""

    id: str
    provider: str
    kind: str
    method: str
    path: str
    status: int
    features: tuple[str, ...]
    request: Any
    request_headers: dict[str, str]
    response_headers: dict[str, str]
    response: bytes
    line: dict[str, Any] = field(repr=False)
    """The line as it stands in the file, for the replay server."""

    @property
    def route(self) -> str:
        """The path without its query."""
        return self.path.partition("?")[0]

    def text(self) -> str:
        return self.response.decode("utf-8")


def recordings(folder: Path) -> Iterator[Recording]:
    """All recordings of a folder of `*.jsonl`, in the order of the files."""
    for file in sorted(folder.glob("*.jsonl")):
        for text in file.read_text(encoding="utf-8").split("\n"):
            if text:
                yield _recording(json.loads(text))


def _recording(line: dict[str, Any]) -> Recording:
    raw = line.get("response_base64")
    return Recording(
        id=line["id"],
        provider=line["provider"],
        kind=line["kind"],
        method=line["method"],
        path=line["path"],
        status=line["status"],
        features=tuple(line.get("features", ())),
        request=line.get("request"),
        request_headers={name.lower(): value for name, value in (line.get("request_headers") or {}).items()},
        response_headers={name.lower(): value for name, value in (line.get("response_headers") or {}).items()},
        response=base64.b64decode(raw) if raw is not None else line["response_text"].encode(),
        line=line,
    )


@dataclass(frozen=True)
class NotApplicable:
    """No adapter could have caused this recording, or nobody can say what it means."""

    reason: str
    """Short and constant, so that reasons can be counted: "server-side image generation"."""


@dataclass(frozen=True)
class ToolCall:
    name: str
    arguments: Any
    """Decoded; the raw text where it is no JSON object."""
    id: str | None = None
    """None: the wire carries no id."""


@dataclass(frozen=True)
class Expected:
    """What a recording says was answered. None in usage: the recording does not say."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    server_tools: tuple[str, ...] = ()
    """Names of server-side tools that the provider itself called, in order."""
    finish_reason: str | None = None
    usage: dict[str, int | None] = field(default_factory=dict)
    """Fields of UsageV1; one that is absent here is not compared."""
    response_id: str | None = None
    response_model: str | None = None
    embeddings: tuple[tuple[float, ...], ...] | None = None
    streamed: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
    """What only this protocol has: signatures, encrypted reasoning, refusal … compared by the protocol's own `differences`."""


@dataclass(frozen=True)
class ExpectedFailure:
    """What a recorded error means: the class of FailureType, and the advice that came with it."""

    type: str
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Case:
    """A recording as a call of Headrace: which type of provider, which model, which request in our contract."""

    provider_type: str
    model: str
    request: ChatRequestV1 | EmbedRequestV1
    options: dict[str, str] = field(default_factory=dict)
    """The provider's `options` in the configuration: project, location, api_version …"""
    base_path: str = ""
    """What stands between the replay server's prefix and the protocol's own path, in the provider's base_url."""
