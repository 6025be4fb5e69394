"""Our requests as bodies of `POST /v1/messages`; what the wire cannot say is warned of or refused, never lost in silence. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catalog.kinds import ProviderKind
from contracts.content import ChatMessageV1, NamedToolV1, Part, TextPart, ToolChoice, ToolV1
from contracts.outcome import WarningV1
from contracts.request import ChatRequestV1, OutputV1, SamplingV1

from ..conversion import Conversion, Unconvertible, merge_options
from ..models import ModelTraits, effort_for, traits_of
from ..protocol import Body
from ..schemas import LIMITS, Dialect, native_schema
from .blocks import BLOCK, blocks_of

OWNED = frozenset({"model", "messages", "stream"})
"""What `provider_options` may not replace: the router chose the model, and the reader depends on the rest."""
JOINED = frozenset({"tools", "output_config", "betas"})
"""Options that are joined with what the request says already."""
DEFAULT_MAX_TOKENS = 8192
"""The protocol wants a limit; this one stands for models that `models.toml` does not know."""
CONTAINER = "anthropic_container"
"""The key of `provider_data` that keeps the container in which server tools ran."""
FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
SCHEMAS = Dialect(refused=LIMITS, closed=True, formats=FORMATS, one_of=False)
"""https://platform.claude.com/docs/en/build-with-claude/structured-outputs, JSON Schema limitations."""


@dataclass(frozen=True)
class Asked:
    """A request on the wire."""

    body: Body
    betas: tuple[str, ...]
    """Values of the header anthropic-beta."""
    output_tool: str | None
    """The tool whose input is the answer."""
    warnings: tuple[WarningV1, ...]


def chat_body(request: ChatRequestV1, model: str, kind: ProviderKind, provider_id: str | None = None) -> Asked:
    """Raises Unconvertible."""
    conversion, traits = Conversion(kind), traits_of("anthropic", model)
    system, messages = _conversation(request.messages, traits, conversion)
    limit = request.sampling.max_output_tokens or traits.max_tokens or DEFAULT_MAX_TOKENS
    body: Body = {"model": model, "max_tokens": limit, **system, "messages": messages}
    body |= _tools(request.tools) | _sampling(request.sampling, traits, conversion)
    if request.stream:
        body["stream"] = True
    if (container := _container(request.messages)) is not None:
        body["container"] = container
    tool = _structured(request, body, traits, conversion)
    betas, rest = _join(request, body, conversion, provider_id)
    _choose(request.tool_choice, body, traits, conversion)
    merge_options(body, rest, conversion, provider_id, owned=OWNED)
    _beside_thinking(body, conversion)
    if request.sampling.max_output_tokens is None:
        _room_for_thinking(body)
    return Asked(body, betas, tool, tuple(conversion.warnings))


def _conversation(turns: tuple[ChatMessageV1, ...], traits: ModelTraits, conversion: Conversion) -> tuple[Body, list[Body]]:
    """System turns at the beginning go into `system`; later ones stay where they are if the model takes them there, else they go there too."""
    system: list[Body] = []
    messages: list[Body] = []
    for at, turn in enumerate(turns):
        blocks = blocks_of(turn.all_parts(), f"messages.{at}", conversion)
        if not blocks:
            continue
        if turn.role == "system":
            _only_text(turn.all_parts(), at)
            if messages and traits.system_anywhere and _after_user(turns, at):
                _append(messages, "system", blocks, join=True)
                continue
            if messages:
                conversion.translated(f"messages.{at}: a system message in the middle of the conversation", "all of them at its beginning")
            system += blocks
        else:
            after_tools = at > 0 and turns[at - 1].role == "tool"
            _append(messages, "assistant" if turn.role == "assistant" else "user", blocks, join=after_tools)
    if not messages:
        raise Unconvertible("messages: all of them are system messages or empty; add a user turn")
    for message in messages:
        message["content"] = _short(message["content"])
    return ({"system": _short(system)} if system else {}), messages


def _append(messages: list[Body], role: str, blocks: list[Body], *, join: bool) -> None:
    """All results of one turn's calls belong into one message, and so do system turns in a row."""
    if join and messages and messages[-1]["role"] == role:
        messages[-1]["content"] += blocks
    else:
        messages.append({"role": role, "content": blocks})


def _after_user(turns: tuple[ChatMessageV1, ...], at: int) -> bool:
    """Where the API takes a system turn: after a user's, at the end or before an assistant's."""
    following = next((turn.role for turn in turns[at + 1 :] if turn.role != "system"), "assistant")
    before = next((turn.role for turn in reversed(turns[:at]) if turn.role != "system"), "assistant")
    return before in ("user", "tool") and following == "assistant"


def _only_text(parts: tuple[Part, ...], at: int) -> None:
    for index, part in enumerate(parts):
        if not isinstance(part, TextPart) and BLOCK not in (part.provider_data or {}):
            raise Unconvertible(f"messages.{at}.parts.{index}: a system message holds text, not {part.type!r}; put it into a user turn")


def _short(blocks: list[Body]) -> str | list[Body]:
    """A lone plain text as a string."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        text: str = blocks[0]["text"]
        return text
    return blocks


def _container(turns: tuple[ChatMessageV1, ...]) -> Any:
    """Where earlier turns' server tools left their files."""
    kept = [(part.provider_data or {}).get(CONTAINER) for turn in turns if turn.role == "assistant" for part in turn.all_parts()]
    return next((container for container in reversed(kept) if container), None)


def _tools(tools: tuple[ToolV1, ...]) -> Body:
    return {"tools": [_tool(tool) for tool in tools]} if tools else {}


def _tool(tool: ToolV1) -> Body:
    schema = tool.parameters if "type" in tool.parameters else {"type": "object", **tool.parameters}
    described = {} if tool.description is None else {"description": tool.description}
    strict = {} if tool.strict is None else {"strict": tool.strict}
    return {"name": tool.name, **described, "input_schema": schema, **strict}


def _sampling(sampling: SamplingV1, traits: ModelTraits, conversion: Conversion) -> Body:
    wire: Body = {}
    if sampling.seed is not None:
        conversion.dropped("sampling.seed")
    if sampling.stop:
        wire["stop_sequences"] = list(sampling.stop)
    if traits.sampling:
        return wire | _accepted(sampling, traits, conversion)
    if sampling.top_p not in (None, 1):
        conversion.dropped("sampling.top_p")
    if sampling.temperature not in (None, 1):
        if not traits.effort:
            conversion.dropped("sampling.temperature")
            return wire
        effort = effort_for(sampling.temperature or 0)
        conversion.translated("sampling.temperature", f"an effort ({effort}) for this model")
        wire["output_config"] = {"effort": effort}
    return wire


def _accepted(sampling: SamplingV1, traits: ModelTraits, conversion: Conversion) -> Body:
    wire: Body = {}
    if sampling.temperature is not None:
        wire["temperature"] = min(sampling.temperature, 1.0)
        if sampling.temperature > 1:
            conversion.translated("sampling.temperature", "at most 1")
    if sampling.top_p is not None and sampling.temperature is not None and traits.one_of_temperature_and_top_p:
        conversion.dropped("sampling.top_p beside temperature")
    elif sampling.top_p is not None:
        wire["top_p"] = sampling.top_p
    return wire


def _structured(request: ChatRequestV1, body: Body, traits: ModelTraits, conversion: Conversion) -> str | None:
    """Puts the schema into the body; the name of the tool that stands for it, where there is no other way."""
    if request.output is None:
        return None
    schema = native_schema(request.output.json_schema, SCHEMAS, conversion) if traits.json_schema else None
    if schema is not None:
        body["output_config"] = {**body.get("output_config", {}), "format": {"type": "json_schema", "schema": schema}}
        return None
    conversion.translated("output", f"a tool {request.output.name!r} whose input is the answer")
    body["tools"] = [*body.get("tools", ()), _output_tool(request.output)]
    body["tool_choice"] = {"type": "any"} if request.tools else {"type": "tool", "name": request.output.name}
    return request.output.name


def _output_tool(output: OutputV1) -> Body:
    """The tool whose input is the answer."""
    schema = output.json_schema if output.json_schema.get("type") == "object" else {**output.json_schema, "type": "object"}
    return {"name": output.name, "description": "Call this tool to give your answer.", "input_schema": schema}


def _choose(choice: ToolChoice | None, body: Body, traits: ModelTraits, conversion: Conversion) -> None:
    if choice is not None and "tool_choice" not in body:
        if "tools" not in body:
            conversion.without_tools(choice)
        else:
            body["tool_choice"] = _choice(choice)
    if not traits.forced_tools and body.get("tool_choice", {}).get("type") in ("any", "tool"):
        conversion.translated("a forced tool call", "tool_choice auto for this model")
        body["tool_choice"] = {"type": "auto"}


def _choice(choice: ToolChoice) -> Body:
    if isinstance(choice, NamedToolV1):
        return {"type": "tool", "name": choice.name}
    return {"type": "any" if choice == "required" else choice}


def _join(request: ChatRequestV1, body: Body, conversion: Conversion, provider_id: str | None) -> tuple[tuple[str, ...], Mapping[str, Mapping[str, Any]]]:
    """Joins options with what the body says already; gives the betas, and the options that go on top of the body as they are."""
    betas: list[str] = []
    rest: dict[str, Mapping[str, Any]] = {}
    for owner in dict.fromkeys((conversion.kind.type, provider_id or "")):
        given = request.provider_options.get(owner, {})
        rest[owner] = {name: value for name, value in given.items() if name not in JOINED}
        betas += [str(beta) for beta in _list(given, "betas", owner)]
        if given.get("output_config"):
            body["output_config"] = {**body.get("output_config", {}), **given["output_config"]}
        for tool in _list(given, "tools", owner):
            body["tools"] = _joined(body.get("tools", []), tool)
    return tuple(dict.fromkeys(betas)), rest


def _list(given: Mapping[str, Any], name: str, owner: str) -> list[Any]:
    value = given.get(name) or []
    if not isinstance(value, list) or (name == "tools" and not all(isinstance(tool, dict) for tool in value)):
        raise Unconvertible(f"provider_options.{owner}.{name}: give a list, as the provider's API wants it")
    return value


def _joined(tools: list[Body], tool: Body) -> list[Body]:
    if tool.get("type", "custom") == "custom" and any(ours["name"] == tool.get("name") for ours in tools if "name" in ours):
        return [{**ours, **tool} if ours.get("name") == tool["name"] else ours for ours in tools]
    return [*tools, tool]


def _beside_thinking(body: Body, conversion: Conversion) -> None:
    """What the API refuses beside thinking (https://platform.claude.com/docs/en/build-with-claude/extended-thinking, feature compatibility)."""
    thinking = body.get("thinking")
    how = thinking.get("type") if isinstance(thinking, dict) else None
    if how in ("enabled", "adaptive") and body.get("temperature", 1) != 1:
        conversion.dropped("sampling.temperature beside thinking")
        del body["temperature"]
    if how == "enabled" and (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        conversion.translated("a forced tool call", "tool_choice auto beside thinking")
        body["tool_choice"] = {"type": "auto"}


def _room_for_thinking(body: Body) -> None:
    """A limit that nobody asked for has to leave room beside the thoughts, which count towards it."""
    thinking = body.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if isinstance(budget, int) and isinstance(body["max_tokens"], int) and budget >= body["max_tokens"]:
        body["max_tokens"] += budget
