"""Which stored requests a command means: by what they ask and by how they ended. Pure."""

from dataclasses import dataclass
from typing import Any, get_args

import typer

from bus.requests import StoredRequest
from cli.comparison import NOTHING
from contracts.result import ResultV1, Status

STATUSES = (*get_args(Status), NOTHING)
FIELDS = ("kind", "lane", "model", "provider", "route")


@dataclass(frozen=True)
class Selection:
    """What all must hold; nothing given means all."""

    statuses: frozenset[str] = frozenset()
    where: tuple[tuple[str, str], ...] = ()

    def takes(self, request: StoredRequest, result: ResultV1 | None) -> bool:
        """Whether it is one of them. Neither a replay is (it would be replayed for ever), nor a second request under an id that was answered."""
        if request.document.get("replay_of") is not None:
            return False
        if result is not None and result.request_seq not in (None, request.seq):
            return False
        if self.statuses and (result.status if result else NOTHING) not in self.statuses:
            return False
        return all(value in _values(name, request, result) for name, value in self.where)


def selection(status: str | None, where: list[str]) -> Selection:
    """From the command line. Raises BadParameter."""
    statuses = [name.strip() for name in (status or "").split(",") if name.strip()]
    for name in statuses:
        if name not in STATUSES:
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(STATUSES)}", param_hint="--status")
    return Selection(frozenset(statuses), tuple(_condition(text) for text in where))


def _condition(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not (name in FIELDS or name.removeprefix("metadata.") not in ("", name)):
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE with a NAME of {', '.join(FIELDS)} or metadata.KEY", param_hint="--where")
    return name, value


def _values(name: str, request: StoredRequest, result: ResultV1 | None) -> tuple[Any, ...]:
    """What a name stands for: as it turned out, else as it was asked."""
    if name.startswith("metadata."):
        metadata = request.document.get("metadata")
        return (metadata.get(name.removeprefix("metadata.")),) if isinstance(metadata, dict) else ()
    if name in ("kind", "lane"):
        return (getattr(request, name),)
    if name == "route":
        return ((result.route if result else None) or request.document.get("route"),)
    provider, _, model = str(request.document.get("model") or "").partition("/")
    if result is not None and result.model is not None:
        provider, model = result.provider or "", result.model
    return (provider,) if name == "provider" else (model, f"{provider}/{model}")
