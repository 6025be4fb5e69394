"""Our requests as bodies of Cohere's v2 chat; what the wire cannot say is warned of or refused, never lost in silence."""

from pydantic_core import to_json

from catalog.kinds import ProviderKind
from contracts.content import NamedToolV1, ToolChoice, ToolV1
from contracts.outcome import WarningV1
from contracts.request import ChatRequestV1, EmbedRequestV1, OutputV1, SamplingV1

from ..conversion import Conversion, merge_options
from ..protocol import Body
from .turns import turns_of

OWNED = frozenset({"model", "messages", "stream"})
"""What `provider_options` may not replace: the router chose the model, and the reader depends on the rest."""
OWNED_OF_VECTORS = frozenset({"model", "texts", "images", "inputs", "embedding_types"})
LEAST_P, MOST_P = 0.01, 0.99
"""Cohere's bounds of `p`."""
INPUT_TYPE = "search_document"
"""What texts are embedded for unless `provider_options` say otherwise (`input_type`): Cohere wants to be told."""


def chat_body(request: ChatRequestV1, model: str, kind: ProviderKind, provider_id: str | None = None) -> tuple[Body, tuple[WarningV1, ...]]:
    """The body of `POST /v2/chat`, and what it could not carry. Raises Unconvertible."""
    conversion = Conversion(kind)
    messages = turns_of(request.messages, conversion)
    body: Body = {"model": model, "messages": messages, "stream": request.stream, **_sampling(request.sampling, conversion)}
    body |= _tools(request.tools, request.tool_choice, conversion)
    if request.output is not None and request.tools:
        conversion.translated("output beside tools", "the schema as an instruction")
        messages.insert(0, {"role": "system", "content": instruction(request.output)})
    elif request.output is not None:
        body["response_format"] = {"type": "json_object", "json_schema": request.output.json_schema}
    merge_options(body, request.provider_options, conversion, provider_id, owned=OWNED, deep=True, appended=frozenset({"tools"}))
    return body, tuple(conversion.warnings)


def instruction(output: OutputV1) -> str:
    """What stands in for a response format."""
    schema = to_json(output.json_schema).decode()
    return f"When you give your final answer, answer with nothing but one JSON document that is valid under this JSON Schema:\n{schema}"


def _sampling(sampling: SamplingV1, conversion: Conversion) -> Body:
    p = None if sampling.top_p is None else min(max(sampling.top_p, LEAST_P), MOST_P)
    if p != sampling.top_p:
        conversion.translated(f"sampling.top_p {sampling.top_p:g}", f"{p:g}, the nearest that is allowed,")
    wire = {
        "temperature": sampling.temperature,
        "p": p,
        "max_tokens": sampling.max_output_tokens,
        "stop_sequences": list(sampling.stop) or None,
        "seed": sampling.seed,
    }
    return {name: value for name, value in wire.items() if value is not None}


def _tools(tools: tuple[ToolV1, ...], choice: ToolChoice | None, conversion: Conversion) -> Body:
    """Cohere knows REQUIRED and NONE; one forced tool is the only one that it is told of."""
    if not tools:
        conversion.without_tools(choice)
        return {}
    if isinstance(choice, NamedToolV1):
        conversion.translated(f"tool_choice {choice.name!r}", "this tool alone, and REQUIRED")
        tools = tuple(tool for tool in tools if tool.name == choice.name) or tools
        choice = "required"
    wire: Body = {"tools": [{"type": "function", "function": _function(tool)} for tool in tools]}
    return {**wire, "tool_choice": choice.upper()} if choice in ("required", "none") else wire


def _function(tool: ToolV1) -> Body:
    described = {} if tool.description is None else {"description": tool.description}
    return {"name": tool.name, **described, "parameters": tool.parameters}


def embed_body(request: EmbedRequestV1, model: str, kind: ProviderKind, provider_id: str | None = None) -> tuple[Body, tuple[WarningV1, ...]]:
    """The body of `POST /v2/embed`."""
    conversion = Conversion(kind)
    body: Body = {"model": model, "texts": list(request.input), "input_type": INPUT_TYPE, "embedding_types": ["float"]}
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    merge_options(body, request.provider_options, conversion, provider_id, owned=OWNED_OF_VECTORS)
    return body, tuple(conversion.warnings)
