"""Values out of JSON bodies that others wrote: what is not of the right kind is unknown. Pure."""

from typing import Any

from pydantic_core import from_json

from contracts.content import ToolCallPart


def text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def tool_call_part(call_id: Any, index: int, name: Any, arguments: Any) -> ToolCallPart:
    """Arguments that are no JSON object become {}; what the model wrote stays in `provider_data.raw_arguments`."""
    decoded = arguments
    if isinstance(arguments, str):
        try:
            decoded = from_json(arguments, allow_inf_nan=False) if arguments.strip() else {}
        except ValueError:
            decoded = None
    if decoded is None and arguments is None:
        decoded = {}
    usable = isinstance(decoded, dict)
    return ToolCallPart(
        id=text_or_none(call_id) or f"call_{index}",
        name=text_or_none(name) or "",
        arguments=decoded if usable else {},
        provider_data=None if usable else {"raw_arguments": arguments if isinstance(arguments, str) else str(arguments)},
    )


def objects_in(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; nothing, where it is none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def count_or_none(value: Any) -> int | None:
    """A number of tokens; anything else is unknown."""
    return int(value) if is_amount(value) else None


def is_amount(value: Any) -> bool:
    """A number that counts something: not negative, not beyond what doubles and ledgers hold exactly."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 2**53
