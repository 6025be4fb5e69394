"""Our messages as Google's `systemInstruction` and `contents`."""

from collections.abc import Iterable

from contracts.content import ChatMessageV1, TextPart, ToolCallPart

from ..conversion import Conversion, Unconvertible
from ..protocol import Body
from .parts import Calls, outgoing

UNSIGNED = "skip_thought_signature_validator"
"""What Google's page on thought signatures names for a call that came from elsewhere."""


def turns_of(messages: Iterable[ChatMessageV1], conversion: Conversion) -> tuple[list[Body], list[Body]]:
    """The parts of all system messages in their order, and the turns. Raises Unconvertible."""
    system: list[Body] = []
    contents: list[Body] = []
    calls: Calls = {}
    previous = ""
    for index, message in enumerate(messages):
        if message.role == "system":
            if contents:
                conversion.translated("a system message after the first turn", "systemInstruction, ahead of all turns,")
            system += _instructions(message, index)
            continue
        parts = _parts(message, index, calls, conversion)
        if not parts:
            continue
        if message.role == "tool" == previous:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": "model" if message.role == "assistant" else "user", "parts": parts})
        previous = message.role
    if not contents:
        raise Unconvertible("Google answers a user's turn: add a message of role 'user'")
    return system, contents


def _instructions(message: ChatMessageV1, index: int) -> list[Body]:
    parts = message.all_parts()
    for at, part in enumerate(parts):
        if not isinstance(part, TextPart):
            raise Unconvertible(f"messages.{index}.parts.{at}: a system message holds text alone; put the {part.type!r} part into a user turn")
    return [{"text": part.content} for part in parts if isinstance(part, TextPart)]


def _parts(message: ChatMessageV1, index: int, calls: Calls, conversion: Conversion) -> list[Body]:
    """The parts of one turn. Empty texts are left out beside others: Google refuses them."""
    parts = []
    for at, part in enumerate(message.all_parts()):
        if isinstance(part, ToolCallPart):
            calls[part.id] = part
        wire = outgoing(part, f"messages.{index}.parts.{at}", calls, conversion)
        if wire is not None:
            parts.append(wire)
    return [wire for wire in parts if wire != {"text": ""}] or parts[:1]


def sign_foreign_calls(contents: list[Body], conversion: Conversion) -> None:
    """Gives the first call of each step of the current turn a signature, where it has none: the model refuses it without."""
    for content in contents[_current_turn(contents) :]:
        first = next((part for part in content["parts"] if "functionCall" in part), None)
        if content["role"] == "model" and first is not None and "thoughtSignature" not in first:
            first["thoughtSignature"] = UNSIGNED
            conversion.translated("a tool call that this model did not sign", f"the signature {UNSIGNED!r}")


def _current_turn(contents: list[Body]) -> int:
    """Where the last turn of the user begins that is more than answers of functions."""
    spoken = (at for at in range(len(contents) - 1, -1, -1) if contents[at]["role"] == "user" and not _answers(contents[at]))
    return next(spoken, 0)


def _answers(content: Body) -> bool:
    return all("functionResponse" in part for part in content["parts"])
