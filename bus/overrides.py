"""A process's own settings over the shared configuration: `HEADRACE__A__B` wins over what KV says."""

import copy
import json
from collections.abc import Mapping
from typing import Any

PREFIX = "HEADRACE__"


class BadOverride(ValueError):
    """A `HEADRACE__` variable that points nowhere; the text says where it went wrong."""


def overridden(document: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """A copy of `document` with each `HEADRACE__A__B=value` set at `a.b`.

    A list's item is named by its index or by its `id` (`-` written as `_`). Values that begin with `{` or `[`, and `null`, are JSON; others text.
    """
    changed = copy.deepcopy(document)
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        path = variable[len(PREFIX) :].split("__")
        if not all(path):
            raise BadOverride(f"{variable}: an empty name between underscores; write it like HEADRACE__PROVIDERS__0__MAX_IN_FLIGHT")
        _set(changed, path, _value(variable, environ[variable]), variable)
    return changed


def _value(variable: str, text: str) -> Any:
    if not (text.startswith(("{", "[")) or text == "null"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadOverride(f"{variable}: not valid JSON ({error})") from error


def _set(node: Any, path: list[str], value: Any, variable: str) -> None:
    *way, last = path
    for name in way:
        if isinstance(node, dict):
            node = node.setdefault(_key(node, name), {})
        elif isinstance(node, list):
            node = node[_index(node, name, variable)]
        if not isinstance(node, (dict, list)):
            raise BadOverride(f"{variable}: {name.lower()!r} is a value, not a section; nothing can be set inside it")
    if isinstance(node, dict):
        node[_key(node, last)] = value
    else:
        node[_index(node, last, variable)] = value


def _key(node: dict[str, Any], name: str) -> str:
    """The key that stands there, whatever its case and dashes; else the name in lower case."""
    return next((key for key in node if _same(str(key), name)), name.lower())


def _index(node: list[Any], name: str, variable: str) -> int:
    if name.isdecimal() and int(name) < len(node):
        return int(name)
    for index, item in enumerate(node):
        if isinstance(item, dict) and _same(str(item.get("id")), name):
            return index
    raise BadOverride(f"{variable}: there is no item {name.lower()!r} in a list of {len(node)}; name it by its index or its id")


def _same(key: str, name: str) -> bool:
    return key.replace("-", "_").lower() == name.lower()
