"""A whole answer told in pieces: for a streamed request to a server that does not stream."""

from pydantic_core import to_json

from contracts.content import ChatMessageV1, ReasoningPart, TextPart, ToolCallPart
from contracts.delta import ToolCallDeltaV1

from .protocol import DeltaPiece, OnDelta


def tell_whole(message: ChatMessageV1, on_delta: OnDelta) -> None:
    """One piece for each part that has one."""
    for at, part in enumerate(message.all_parts()):
        if isinstance(part, TextPart) and part.content:
            on_delta(DeltaPiece("text", at, part.content))
        elif isinstance(part, ReasoningPart) and part.content:
            on_delta(DeltaPiece("reasoning", at, part.content))
        elif isinstance(part, ToolCallPart):
            arguments = to_json(part.arguments).decode()
            on_delta(DeltaPiece("tool_call", at, tool_call=ToolCallDeltaV1(id=part.id, name=part.name, arguments_delta=arguments)))
