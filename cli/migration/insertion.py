"""`prompt_cache` put into the text of a version 2 file, every other character left where it stands. Pure."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import yaml

from bus.configuration import BadConfiguration, parse
from cli.migration.outcome import SAFE_PROMPT_CACHE

FIELD = "prompt_cache"
FLOW = json.dumps(SAFE_PROMPT_CACHE)
BLOCK = "{" + ", ".join(f"{name}: {json.dumps(value).strip(chr(34))}" for name, value in SAFE_PROMPT_CACHE.items()) + "}"


class CannotInsert(ValueError):
    """The text is written in a way that nothing can be inserted into safely."""


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the field in every provider that has none."""
    whole = deepcopy(document)
    for provider in whole.get("providers") or []:
        provider.setdefault(FIELD, dict(SAFE_PROMPT_CACHE))
    return whole


def inserted(text: str, document: dict[str, Any]) -> str:
    """The text of `completed(document)`, where `text` is that of `document`. Raises CannotInsert."""
    edits = sorted(set(_edits(text, document)), reverse=True)
    for at, addition in edits:
        text = text[:at] + addition + text[at:]
    try:
        same = parse(text) == completed(document)
    except BadConfiguration:
        same = False
    if not same:  # whatever was misjudged: never write another meaning
        raise CannotInsert("the file is written in a way that nothing can be added to")
    return text


def _edits(text: str, document: dict[str, Any]) -> Iterator[tuple[int, str]]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    nodes = next((value for key, value in root.value if key.value == "providers"), None) if isinstance(root, yaml.MappingNode) else None
    if not isinstance(nodes, yaml.SequenceNode):
        return
    for node, provider in zip(nodes.value, document["providers"], strict=True):
        if FIELD not in provider:
            yield _flow(node) if node.flow_style else _block(text, node)


def _flow(node: yaml.MappingNode) -> tuple[int, str]:
    """Behind the last value, within the braces."""
    key, value = node.value[-1]
    if value.start_mark.index < key.end_mark.index:
        raise CannotInsert("the last value of a provider is an alias")
    return value.end_mark.index, f', "{FIELD}": {FLOW}'


def _block(text: str, node: yaml.MappingNode) -> tuple[int, str]:
    """A line of its own, behind the last field that stands on one line."""
    behind = next(
        (
            value.end_mark.index
            for key, value in reversed(node.value)
            if value.start_mark.line == value.end_mark.line == key.start_mark.line and value.start_mark.index >= key.end_mark.index
        ),
        None,
    )
    if behind is None:
        raise CannotInsert("no field of a provider stands on a line of its own")
    indent = " " * node.value[0][0].start_mark.column
    end = text.find("\n", behind)
    if end < 0:
        return len(text), f"\n{indent}{FIELD}: {BLOCK}"
    ending = "\r\n" if text[end - 1] == "\r" else "\n"
    return end + 1, f"{indent}{FIELD}: {BLOCK}{ending}"
