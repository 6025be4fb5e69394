"""Our requests as bodies of Converse; what the wire cannot say is warned of or refused, never lost in silence. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from catalog.kinds import ProviderKind
from contracts.content import ChatMessageV1, NamedToolV1, TextPart, ToolCallPart, ToolCallResponsePart, ToolChoice, ToolV1
from contracts.outcome import WarningV1
from contracts.request import ChatRequestV1, OutputV1, SamplingV1

from ..conversion import Conversion, Unconvertible, merge_options
from ..models import ModelTraits, effort_for, traits_of
from ..protocol import Body
from ..schemas import NUMBERS, Dialect, native_schema
from .blocks import BLOCK, blocks_of

OWNED = frozenset({"messages", "modelId"})
"""What `provider_options` may not replace: the router chose the model."""
JOINED = frozenset({"toolConfig", "inferenceConfig", "outputConfig"})
"""Options that are joined with what the request says already."""
SCHEMAS = Dialect(refused=NUMBERS, closed=False)


@dataclass(frozen=True)
class Asked:
    """A request on the wire."""

    body: Body
    output_tool: str | None
    """The tool whose input is the answer."""
    warnings: tuple[WarningV1, ...]


def converse_body(request: ChatRequestV1, model: str, kind: ProviderKind, provider_id: str | None = None) -> Asked:
    """Raises Unconvertible."""
    conversion, traits = Conversion(kind), traits_of("bedrock", model)
    system, messages = _conversation(request.messages, traits, conversion, signed="claude" in model)
    body: Body = {"messages": messages, **({"system": system} if system else {})}
    inference = _inference(request.sampling, body, traits, conversion)
    if inference:
        body["inferenceConfig"] = inference
    if request.tools:
        body["toolConfig"] = {"tools": [{"toolSpec": _tool(tool)} for tool in request.tools]}
    tool = _structured(request, body, traits, conversion)
    rest = _join(request, body, conversion, provider_id)
    _choose(request, body, traits, conversion)
    merge_options(body, rest, conversion, provider_id, owned=OWNED)
    _beside_thinking(body, conversion)
    return Asked(body, tool, tuple(conversion.warnings))


def _conversation(turns: tuple[ChatMessageV1, ...], traits: ModelTraits, conversion: Conversion, *, signed: bool) -> tuple[list[Body], list[Body]]:
    """System turns at the beginning go into `system`; later ones stay where the model takes them, else they go there too. Turns alternate."""
    system: list[Body] = []
    messages: list[Body] = []
    for at, turn in enumerate(turns):
        blocks = blocks_of(turn.all_parts(), f"messages.{at}", conversion, signed=signed)
        if not blocks:
            continue
        role = {"tool": "user"}.get(turn.role, turn.role)
        if role == "system":
            _only_text(turn, at)
            if not (messages and traits.system_anywhere and _after_user(turns, at)):
                if messages:
                    conversion.translated(f"messages.{at}: a system message in the middle of the conversation", "all of them at its beginning")
                system += blocks
                continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": role, "content": blocks})
    if not messages:
        raise Unconvertible("messages: all of them are system messages or empty; add a user turn")
    return system, messages


def _after_user(turns: tuple[ChatMessageV1, ...], at: int) -> bool:
    """Where a system turn is taken: after a user's, at the end or before an assistant's."""
    following = next((turn.role for turn in turns[at + 1 :] if turn.role != "system"), "assistant")
    before = next((turn.role for turn in reversed(turns[:at]) if turn.role != "system"), "assistant")
    return before in ("user", "tool") and following == "assistant"


def _only_text(turn: ChatMessageV1, at: int) -> None:
    for index, part in enumerate(turn.all_parts()):
        if not isinstance(part, TextPart) and BLOCK not in (part.provider_data or {}):
            raise Unconvertible(f"messages.{at}.parts.{index}: a system message holds text, not {part.type!r}; put it into a user turn")


def _inference(sampling: SamplingV1, body: Body, traits: ModelTraits, conversion: Conversion) -> Body:
    wire: Body = {"maxTokens": sampling.max_output_tokens, "stopSequences": list(sampling.stop) or None}
    if sampling.seed is not None:
        conversion.dropped("sampling.seed")
    if traits.sampling:
        wire |= {"temperature": sampling.temperature, "topP": sampling.top_p}
        if sampling.temperature is not None and sampling.temperature > 1:
            conversion.translated("sampling.temperature", "at most 1")
            wire["temperature"] = 1.0
        if sampling.temperature is not None and sampling.top_p is not None and traits.one_of_temperature_and_top_p:
            conversion.dropped("sampling.top_p beside temperature")
            wire["topP"] = None
    else:
        if sampling.top_p not in (None, 1):
            conversion.dropped("sampling.top_p")
        if sampling.temperature not in (None, 1) and not traits.effort:
            conversion.dropped("sampling.temperature")
        elif sampling.temperature not in (None, 1):
            effort = effort_for(sampling.temperature or 0)
            conversion.translated("sampling.temperature", f"an effort ({effort}) for this model")
            body["outputConfig"] = {"effort": effort}
    return {name: value for name, value in wire.items() if value is not None}


def _tool(tool: ToolV1) -> Body:
    schema = tool.parameters if "type" in tool.parameters else {"type": "object", **tool.parameters}
    described = {"description": tool.description} if tool.description else {}
    strict = {} if tool.strict is None else {"strict": tool.strict}
    return {"name": tool.name, **described, "inputSchema": {"json": schema}, **strict}


def _structured(request: ChatRequestV1, body: Body, traits: ModelTraits, conversion: Conversion) -> str | None:
    """Puts the schema into the body; the name of the tool that stands for it, where there is no other way."""
    output = request.output
    if output is None:
        return None
    schema = native_schema(output.json_schema, SCHEMAS, conversion) if traits.json_schema else None
    if schema is not None:
        described = {"description": schema["description"]} if isinstance(schema.get("description"), str) else {}
        structure = {"jsonSchema": {"name": output.name, "schema": to_json(schema).decode(), **described}}
        body["outputConfig"] = {**body.get("outputConfig", {}), "textFormat": {"type": "json_schema", "structure": structure}}
        return None
    conversion.translated("output", f"a tool {output.name!r} whose input is the answer")
    tools = [*body.get("toolConfig", {}).get("tools", ()), {"toolSpec": _output_tool(output)}]
    body["toolConfig"] = {"tools": tools, "toolChoice": {"any": {}} if request.tools else {"tool": {"name": output.name}}}
    return output.name


def _output_tool(output: OutputV1) -> Body:
    schema = output.json_schema if output.json_schema.get("type") == "object" else {**output.json_schema, "type": "object"}
    return {"name": output.name, "description": "Call this tool to give your answer.", "inputSchema": {"json": schema}}


def _join(request: ChatRequestV1, body: Body, conversion: Conversion, provider_id: str | None) -> Mapping[str, Mapping[str, Any]]:
    """Joins options with what the body says already; gives those that go on top of the body as they are. Tools come behind ours."""
    rest: dict[str, Mapping[str, Any]] = {}
    for owner in dict.fromkeys((conversion.kind.type, provider_id or "")):
        given = request.provider_options.get(owner, {})
        rest[owner] = {name: value for name, value in given.items() if name not in JOINED}
        for name in JOINED & given.keys():
            if not isinstance(given[name], dict):
                raise Unconvertible(f"provider_options.{owner}.{name}: give an object, as the provider's API wants it")
            tools = [*body.get(name, {}).get("tools", ()), *given[name].get("tools", ())] if name == "toolConfig" else []
            body[name] = {**body.get(name, {}), **given[name], **({"tools": tools} if tools else {})}
    return rest


def _choose(request: ChatRequestV1, body: Body, traits: ModelTraits, conversion: Conversion) -> None:
    choice, config = request.tool_choice, body.get("toolConfig")
    if config is None:
        conversion.without_tools(choice)
        return
    if choice == "none":
        _without_tools(request, body, conversion)
    elif choice is not None and "toolChoice" not in config:
        config["toolChoice"] = _choice(choice)
    if not traits.forced_tools and not {"any", "tool"}.isdisjoint(config.get("toolChoice", ())):
        conversion.translated("a forced tool call", "toolChoice auto for this model")
        config["toolChoice"] = {"auto": {}}


def _without_tools(request: ChatRequestV1, body: Body, conversion: Conversion) -> None:
    """Converse has no word for "none": the tools are left out, unless earlier turns used them, which wants them named."""
    if any(isinstance(part, ToolCallPart | ToolCallResponsePart) for turn in request.messages for part in turn.all_parts()):
        conversion.dropped("tool_choice 'none' beside earlier tool calls")
    else:
        del body["toolConfig"]


def _choice(choice: ToolChoice) -> Body:
    if isinstance(choice, NamedToolV1):
        return {"tool": {"name": choice.name}}
    return {"any": {}} if choice == "required" else {"auto": {}}


def _beside_thinking(body: Body, conversion: Conversion) -> None:
    """What Claude refuses beside thinking (https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html)."""
    fields = body.get("additionalModelRequestFields")
    thinking = fields.get("thinking") if isinstance(fields, dict) else None
    how = thinking.get("type") if isinstance(thinking, dict) else None
    if how in ("enabled", "adaptive") and body.get("inferenceConfig", {}).get("temperature", 1) != 1:
        conversion.dropped("sampling.temperature beside thinking")
        del body["inferenceConfig"]["temperature"]
    config = body.get("toolConfig", {})
    if how == "enabled" and not {"any", "tool"}.isdisjoint(config.get("toolChoice", ())):
        conversion.translated("a forced tool call", "toolChoice auto beside thinking")
        config["toolChoice"] = {"auto": {}}
