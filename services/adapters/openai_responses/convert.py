"""Our requests as bodies of `POST /responses`; what the wire cannot say is warned of or refused, never lost in silence."""

from typing import Any

from pydantic_core import to_json

from catalog.kinds import ProviderKind
from contracts.content import ToolChoice, ToolV1
from contracts.outcome import WarningV1
from contracts.request import ChatRequestV1, OutputV1, SamplingV1

from ..conversion import Unconvertible, merge_options
from ..models import effort_for
from ..openai.schemas import is_strict
from ..protocol import Body
from .quirks import Wording, wording
from .turns import input_of

OWNED = frozenset({"model", "input", "stream"})
"""What `provider_options` may not replace: the router chose the model, and the reader depends on the rest."""
LISTS = frozenset({"tools", "include"})
"""Options that come after what the request says already."""
ENCRYPTED = "reasoning.encrypted_content"


def chat_body(request: ChatRequestV1, model: str, kind: ProviderKind, provider_id: str | None = None) -> tuple[Body, tuple[WarningV1, ...]]:
    """The body, and what it could not carry. Raises Unconvertible."""
    conversion = wording(request, model, kind, provider_id)
    body: Body = {"model": model, "input": input_of(request.messages, conversion)}
    body |= _kept(conversion)
    body |= _tools(request.tools, request.tool_choice, conversion)
    body |= _sampling(request.sampling, conversion)
    if request.output is not None:
        _ask_for(request.output, body, conversion)
    if request.stream:
        body["stream"] = True
    merge_options(body, request.provider_options, conversion, provider_id, owned=OWNED, deep=True, appended=LISTS)
    _tidy(body, request)
    return body, tuple(conversion.warnings)


def _kept(conversion: Wording) -> Body:
    """Headrace keeps conversations itself: the provider need not, and gives its reasoning encrypted in its place."""
    if not conversion.stateless:
        return {}
    return {"store": False, **({"include": [ENCRYPTED]} if conversion.traits.encrypted_reasoning else {})}


def _tools(tools: tuple[ToolV1, ...], choice: ToolChoice | None, conversion: Wording) -> Body:
    if not tools and not conversion.own.get("tools"):
        conversion.without_tools(choice)
        return {}
    wire: Body = {"tools": [_function(tool) for tool in tools]} if tools else {}
    if choice is None or "tool_choice" in conversion.own:
        return wire
    return {**wire, "tool_choice": choice if isinstance(choice, str) else {"type": "function", "name": choice.name}}


def _function(tool: ToolV1) -> Body:
    """Where `strict` is not said the API would change the schema until it can be strict: so it is always said."""
    described = {} if tool.description is None else {"description": tool.description}
    strict = is_strict(tool.parameters) if tool.strict is None else tool.strict
    return {"type": "function", "name": tool.name, **described, "parameters": tool.parameters, "strict": strict}


def _sampling(sampling: SamplingV1, conversion: Wording) -> Body:
    wire: Body = {} if sampling.max_output_tokens is None else {"max_output_tokens": sampling.max_output_tokens}
    if sampling.stop:
        conversion.dropped("sampling.stop")
    if sampling.seed is not None:
        conversion.dropped("sampling.seed")
    reasoning = conversion.own.get("reasoning")
    effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
    thinks = conversion.traits.effort and effort not in (None, "none")
    if conversion.traits.sampling and not thinks:
        given = {"temperature": sampling.temperature, "top_p": sampling.top_p}
        return {**wire, **{name: value for name, value in given.items() if value is not None}}
    return {**wire, **_weighed(sampling, effort, conversion)}


def _weighed(sampling: SamplingV1, effort: Any, conversion: Wording) -> Body:
    """The sampling of a model that takes no temperature but 1, its default: an effort stands for it, unless the caller names one."""
    if sampling.top_p is not None:
        conversion.dropped("sampling.top_p with this model")
    if sampling.temperature is None:
        return {}
    if sampling.temperature == 1 or effort is not None or not conversion.traits.effort:
        conversion.dropped("sampling.temperature with this model")
        return {}
    chosen = effort_for(sampling.temperature)
    conversion.translated("sampling.temperature", f"an effort ({chosen}) for this model")
    return {"reasoning": {"effort": chosen}}


def _ask_for(output: OutputV1, body: Body, conversion: Wording) -> None:
    """Writes into the body that the answer is JSON under this schema."""
    if conversion.quirks.json_schema and conversion.traits.json_schema:
        described = {} if output.description is None else {"description": output.description}
        strict = is_strict(output.json_schema)
        body["text"] = {"format": {"type": "json_schema", "name": output.name, **described, "schema": output.json_schema, "strict": strict}}
        return
    conversion.translated("output.json_schema", "text.format json_object, with the schema in a system message,")
    body["text"] = {"format": {"type": "json_object"}}
    words = "Answer with one JSON object and nothing else. It must be valid under this JSON Schema:\n" + to_json(output.json_schema).decode()
    leading = next((at for at, item in enumerate(body["input"]) if item.get("role") != "system"), len(body["input"]))
    body["input"].insert(leading, {"role": "system", "content": words})


def _tidy(body: Body, request: ChatRequestV1) -> None:
    """Nothing is asked for twice; more fields for one of the request's own tools go into that tool."""
    if isinstance(include := body.get("include"), list):
        body["include"] = list(dict.fromkeys(map(str, include)))
    if isinstance(tools := body.get("tools"), list):
        body["tools"] = _folded(tools)
    if body.get("background") and not request.stream:
        raise Unconvertible("provider_options: a 'background' answer is not waited for; take it out, or ask for a stream")


def _folded(tools: list[Any]) -> list[Any]:
    folded: list[Any] = []
    places: dict[Any, int] = {}
    for tool in tools:
        name = tool.get("name") if isinstance(tool, dict) and tool.get("type", "function") == "function" else None
        if isinstance(name, str) and name in places:
            folded[places[name]] = {**folded[places[name]], **tool}
            continue
        if isinstance(name, str):
            places[name] = len(folded)
        folded.append(tool)
    return folded
