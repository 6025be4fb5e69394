"""One request on its way to one kind of provider: what the wire cannot say is warned of or refused, never lost in silence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog.kinds import ProviderKind
from contracts.content import ToolChoice
from contracts.outcome import WarningV1

from .protocol import Body


class Unconvertible(ValueError):
    """The wire protocol has no way to say a part of the request."""


@dataclass
class Conversion:
    """Gathers the warnings of one request."""

    kind: ProviderKind
    warnings: list[WarningV1] = field(default_factory=list)

    def dropped(self, what: str) -> None:
        """Something was left out."""
        self._warn("dropped_parameter", f"{what}: {self.kind.type} does not take it; it was left out")

    def without_tools(self, choice: ToolChoice | None) -> None:
        """A choice among tools, where there are none."""
        if choice is not None and choice != "none":
            self.dropped("tool_choice without tools")

    def translated(self, what: str, into: str) -> None:
        """Something was said in another way."""
        self._warn("translated_parameter", f"{what}: {self.kind.type} takes {into} instead")

    def _warn(self, kind: str, message: str) -> None:
        warning = WarningV1(type=kind, message=message)
        if warning not in self.warnings:
            self.warnings.append(warning)


def merge_options(
    body: Body,
    options: Mapping[str, Mapping[str, Any]],
    conversion: Conversion,
    provider_id: str | None,
    *,
    owned: frozenset[str],
    deep: bool = False,
    appended: frozenset[str] = frozenset(),
) -> None:
    """Options under the provider's type, then under its id, on top of the body; null takes a field away.

    `owned`: what options may not replace, since the router chose it or the reader depends on it. `deep`: objects are merged
    field by field. `appended`: lists that come after the request's own.
    """
    for owner in dict.fromkeys((conversion.kind.type, provider_id)):
        for name, value in options.get(owner or "", {}).items():
            if name in owned:
                conversion.dropped(f"provider_options.{owner}.{name}")
            elif value is None:
                body.pop(name, None)
            elif isinstance(value, dict) and isinstance(body.get(name), dict) and name == "stream_options":
                body[name] = {**value, **body[name]}
            elif name in appended and isinstance(value, list) and isinstance(body.get(name), list):
                body[name] = [*body[name], *value]
            elif deep:
                body[name] = merged(body.get(name), value)
            else:
                body[name] = value


def merged(given: Any, options: Any) -> Any:
    """Objects field by field, null takes a field away; anything else is replaced. Changes neither."""
    if not isinstance(given, dict) or not isinstance(options, dict):
        return options
    changed = {**given, **{name: merged(given.get(name), value) for name, value in options.items()}}
    return {name: value for name, value in changed.items() if value is not None or name not in options}
