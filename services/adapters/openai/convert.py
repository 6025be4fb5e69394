"""Our requests as chat-completions and embeddings bodies; what the wire cannot say is warned of or refused, never lost in silence."""

from typing import Any

from catalog.kinds import ProviderKind
from contracts.content import ToolChoice, ToolV1
from contracts.outcome import WarningV1
from contracts.request import ChatRequestV1, EmbedRequestV1

from ..conversion import merge_options
from ..protocol import Body
from .messages import messages_of
from .quirks import Wording, wording
from .schemas import ask_for

OWNED = frozenset({"model", "messages", "input", "stream"})
"""What `provider_options` may not replace: the router chose the model, and the reader depends on the rest."""
CALM = 0.5
"""Below this temperature an answer is wanted that is weighed well: effort high; above it medium."""


def chat_body(request: ChatRequestV1, model: str, kind: ProviderKind, provider_id: str | None = None) -> tuple[Body, tuple[WarningV1, ...]]:
    """The body of `POST /chat/completions`, and what it could not carry. Raises Unconvertible."""
    conversion = wording(kind, model)
    messages = [wire for index, message in enumerate(request.messages) for wire in messages_of(message, index, conversion)]
    own = _own_options(request, kind, provider_id)
    body: Body = {"model": model, "messages": messages}
    body |= _tools(request.tools, request.tool_choice, conversion, others="tools" in own)
    body |= _sampling(request, conversion, own)
    if request.output is not None:
        ask_for(request.output, body, conversion)
    if request.stream:
        body["stream"] = True
        if kind.stream_usage:
            body["stream_options"] = {"include_usage": True}
    merge_options(body, request.provider_options, conversion, provider_id, owned=OWNED, appended=frozenset({"tools"}))
    return body, tuple(conversion.warnings)


def embed_body(request: EmbedRequestV1, model: str, kind: ProviderKind, provider_id: str | None = None) -> tuple[Body, tuple[WarningV1, ...]]:
    """The body of `POST /embeddings`."""
    conversion = wording(kind, model)
    body: Body = {"model": model, "input": list(request.input)}
    if request.encoding != "float" or conversion.quirks.encoding_float:
        body["encoding_format"] = request.encoding
    if request.dimensions is not None:
        body[conversion.quirks.dimensions] = request.dimensions
    merge_options(body, request.provider_options, conversion, provider_id, owned=OWNED)
    return body, tuple(conversion.warnings)


def _own_options(request: ChatRequestV1, kind: ProviderKind, provider_id: str | None) -> dict[str, Any]:
    """What the caller sets by hand for this provider."""
    return {**request.provider_options.get(kind.type, {}), **request.provider_options.get(provider_id or "", {})}


def _sampling(request: ChatRequestV1, conversion: Wording, own: dict[str, Any]) -> Body:
    sampling = request.sampling
    wire = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        conversion.kind.max_tokens_parameter: sampling.max_output_tokens,
        "stop": list(sampling.stop) or None,
        conversion.quirks.seed: sampling.seed,
    }
    said = {name: value for name, value in wire.items() if value is not None}
    if "stop" in said and not conversion.traits.stop:
        del said["stop"]
        conversion.dropped("sampling.stop with this model")
    thinks = conversion.traits.effort and _effort_in(own) not in (None, "none")
    return said if conversion.traits.sampling and not thinks else _weighed(said, conversion, own)


def _effort_in(own: dict[str, Any]) -> Any:
    """The effort that the caller asks for by hand."""
    reasoning = own.get("reasoning")
    return own.get("reasoning_effort") or (reasoning.get("effort") if isinstance(reasoning, dict) else None)


def _weighed(said: Body, conversion: Wording, own: dict[str, Any]) -> Body:
    """The sampling of a model that takes no temperature but 1, its default: an effort stands for it, unless the caller names one."""
    temperature = said.pop("temperature", None)
    if said.pop("top_p", None) is not None:
        conversion.dropped("sampling.top_p with this model")
    if temperature is None:
        return said
    if temperature == 1 or not conversion.traits.effort or _effort_in(own) is not None:
        conversion.dropped("sampling.temperature with this model")
        return said
    effort = "high" if temperature < CALM else "medium"
    conversion.translated("sampling.temperature", f"an effort ({effort}) for this model")
    return {**said, "reasoning_effort": effort}


def _tools(tools: tuple[ToolV1, ...], choice: ToolChoice | None, conversion: Wording, *, others: bool) -> Body:
    if not tools and not others:
        conversion.without_tools(choice)
        return {}
    wire: Body = {"tools": [{"type": "function", "function": _function(tool)} for tool in tools]} if tools else {}
    if isinstance(choice, str):
        wire["tool_choice"] = choice
    elif choice is not None:
        wire["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    return wire


def _function(tool: ToolV1) -> Body:
    described = {} if tool.description is None else {"description": tool.description}
    strict = {} if tool.strict is None else {"strict": tool.strict}
    return {"name": tool.name, **described, "parameters": tool.parameters, **strict}
