"""Our requests as generateContent bodies; what the wire cannot say is warned of or refused, never lost in silence."""

from pydantic_core import to_json

from catalog.kinds import ProviderKind
from contracts.content import ToolChoice, ToolV1
from contracts.outcome import WarningV1
from contracts.request import ChatRequestV1, OutputV1, SamplingV1

from ..conversion import Conversion, merge_options
from ..models import traits_of
from ..protocol import Body
from .turns import sign_foreign_calls, turns_of

OWNED = frozenset({"contents", "model"})
"""What `provider_options` may not replace: the conversation is the request's own, the router chose the model."""
APPENDED = frozenset({"tools"})
OF_CACHE = ("systemInstruction", "tools", "toolConfig")
"""What cached content was made with; Google refuses a request that gives it again."""
MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def chat_body(request: ChatRequestV1, model: str, kind: ProviderKind, provider_id: str | None = None) -> tuple[Body, tuple[WarningV1, ...]]:
    """The body of `:generateContent`, and what it could not carry. Raises Unconvertible."""
    conversion, traits = Conversion(kind), traits_of("gemini", model)
    system, contents = turns_of(request.messages, conversion)
    if traits.signed_calls:
        sign_foreign_calls(contents, conversion)
    config = _sampling(request.sampling)
    if request.output is not None and request.tools and not traits.json_with_tools:
        conversion.translated("output beside tools", "the schema as an instruction")
        system.append({"text": instruction(request.output)})
    elif request.output is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": request.output.json_schema}
    body: Body = {"contents": contents, **_tools(request.tools, request.tool_choice, conversion)}
    if system:
        body["systemInstruction"] = {"parts": system}
    if config:
        body["generationConfig"] = config
    merge_options(body, request.provider_options, conversion, provider_id, owned=OWNED, deep=True, appended=APPENDED)
    if body.get("cachedContent"):
        for name in [name for name in OF_CACHE if name in body]:
            del body[name]
            conversion.dropped(f"{name} beside cachedContent, which holds its own")
    return body, tuple(conversion.warnings)


def instruction(output: OutputV1) -> str:
    """What stands in for a response schema."""
    schema = to_json(output.json_schema).decode()
    return f"When you give your final answer, answer with nothing but one JSON document that is valid under this JSON Schema:\n{schema}"


def _sampling(sampling: SamplingV1) -> Body:
    wire = {
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "maxOutputTokens": sampling.max_output_tokens,
        "stopSequences": list(sampling.stop) or None,
        "seed": sampling.seed,
    }
    return {name: value for name, value in wire.items() if value is not None}


def _tools(tools: tuple[ToolV1, ...], choice: ToolChoice | None, conversion: Conversion) -> Body:
    if not tools:
        conversion.without_tools(choice)
        return {}
    wire: Body = {"tools": [{"functionDeclarations": [_function(tool) for tool in tools]}]}
    if isinstance(choice, str):
        wire["toolConfig"] = {"functionCallingConfig": {"mode": MODES[choice]}}
    elif choice is not None:
        wire["toolConfig"] = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [choice.name]}}
    return wire


def _function(tool: ToolV1) -> Body:
    """The schema goes as JSON Schema: Google's own Schema type lacks many of its keywords."""
    described = {} if tool.description is None else {"description": tool.description}
    return {"name": tool.name, **described, "parametersJsonSchema": tool.parameters}
