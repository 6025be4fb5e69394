"""An exception as a log may tell it: where it was raised and of what type, and its words only where they are about machines."""

import traceback
from collections.abc import Iterator

WITHHELD = "(words withheld: they may quote a message)"
ABOUT_MACHINES = (OSError, ImportError, AttributeError, NameError, TypeError, RuntimeError, MemoryError)
"""What these say names files, addresses, attributes and types."""
TRUSTED = frozenset({"aiohttp", "bus", "catalog", "cli", "nats", "observability", "services", "storage"})
"""Packages whose own exceptions quote no body. ValueError and KeyError say the value itself, pydantic and SQLAlchemy the whole input."""


def told(error: BaseException) -> str:
    """The traceback, causes first, as Python writes it but for the words."""
    return "\n".join("".join(traceback.format_tb(each.__traceback__)) + in_a_line(each) for each in _chain(error))


def in_a_line(error: BaseException) -> str:
    """Type, and words or code."""
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    words = str(error)
    if not words:
        return name
    if isinstance(error, ABOUT_MACHINES) or type(error).__module__.partition(".")[0] in TRUSTED:
        return f"{name}: {words}"
    code = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None)
    return f"{name}: {code or WITHHELD}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Causes before their effects, each once; a group before its members."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop(0)
        if each is None or any(each is other for other in found):
            continue
        found.append(each)
        waiting.append(each.__cause__ or (None if each.__suppress_context__ else each.__context__))
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(each.exceptions)
    return reversed(found)
