"""What a change of schema breaks, for whoever speaks the older version. Pure."""

from typing import Any

Schema = dict[str, Any]
PRIMITIVES = ("null", "boolean", "integer", "number", "string", "array", "object")
AT_MOST = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")
AT_LEAST = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")
AS_IT_WAS = ("pattern", "format", "multipleOf")
"""Limits that cannot be compared: any other one is taken to be narrower."""


def breaking(old: Schema, new: Schema) -> list[str]:
    """What breaks whoever keeps to the old schema: a line each, with the path.

    Of a closed schema (what people send), what may be sent no longer: removed fields and variants, newly required fields, narrower values, another default.
    Of an open one (what services send), that too, since new services read old messages; and what old readers do not expect:
    another type, a null, a field that may be missing. New fields and new enum values they must ignore.
    """
    return _Comparison(old, new).lines


class _Comparison:
    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old, new
        self._read_by_people = old.get("additionalProperties") is not False
        self._seen: set[tuple[str, str]] = set()
        self.lines: list[str] = []
        self._compare(old, new, "$")

    def _compare(self, old: Any, new: Any, path: str) -> None:
        if not isinstance(old, dict) or not isinstance(new, dict):
            return
        if not self._read_by_people and "default" in old and "default" in new and old["default"] != new["default"]:
            self.lines.append(f"{path}: what is left out meant {old['default']!r}, means {new['default']!r}")
        if _is_union(old) or _is_union(new):
            self._variants(old, new, path)
            return
        pair = (_name(old), _name(new))
        if all(pair) and pair in self._seen:
            return
        self._seen.add(pair)
        old, new = _resolved(old, self._old), _resolved(new, self._new)
        self._properties(old, new, path)
        self._values(old, new, path)
        for inner in ("items", "additionalProperties"):
            self._compare(old.get(inner), new.get(inner), f"{path}[]")

    def _properties(self, old: Schema, new: Schema, path: str) -> None:
        for properties in ("properties", "patternProperties"):
            had, has = old.get(properties, {}), new.get(properties, {})
            for name in had:
                if name in has:
                    self._compare(had[name], has[name], f"{path}.{name}")
                else:
                    self.lines.append(f"{path}.{name}: removed")
        if "properties" in old:
            self.lines.extend(f"{path}.{name}: newly required" for name in new.get("required", []) if _newly_required(name, old, new))
            if self._read_by_people:
                gone = sorted(set(old.get("required", [])) & new.get("properties", {}).keys() - set(new.get("required", [])))
                self.lines.extend(f"{path}.{name}: no longer always present" for name in gone)
        if new.get("additionalProperties") is False and old.get("additionalProperties") is not False and "properties" in old:
            self.lines.append(f"{path}: closed; unknown fields were allowed")

    def _values(self, old: Schema, new: Schema, path: str) -> None:
        before, after = _allowed(old), _allowed(new)
        if after is not None:
            gone = sorted(before - after) if before is not None else ["any value"]
            self.lines.extend(f"{path}: narrowed, {value} is no longer allowed" for value in gone)
        elif before is None and "type" in old and "type" in new:
            if not _types(old) <= _types(new):
                self.lines.append(f"{path}: narrowed, type was {old['type']}, is {new['type']}")
            elif self._read_by_people and not _types(new) <= _types(old):
                self.lines.append(f"{path}: widened, type was {old['type']}, is {new['type']}")
        self.lines.extend(f"{path}: narrowed, {word} was {old.get(word, 'not given')}, is {new.get(word, 'gone')}" for word in _tightened(old, new))

    def _variants(self, old: Schema, new: Schema, path: str) -> None:
        before, after = _by_kind(old), _by_kind(new)
        for kind, variant in before.items():
            if kind in after:
                self._compare(variant, after[kind], path)
            else:
                self.lines.append(f"{path}: narrowed, {kind} is no longer allowed")
        if self._read_by_people:
            self.lines.extend(f"{path}: widened, {kind} was not expected" for kind in after if kind not in before and kind in PRIMITIVES)


def _name(node: Any) -> str:
    return str(node.get("$ref", "")) if isinstance(node, dict) else ""


def _resolved(node: Any, document: Schema) -> Any:
    name = _name(node)
    return document["$defs"][name.removeprefix("#/$defs/")] if name else node


def _allowed(node: Schema) -> set[str] | None:
    if "const" in node:
        return {repr(node["const"])}
    return {repr(value) for value in node["enum"]} if "enum" in node else None


def _types(node: Schema) -> set[str]:
    given = node["type"]
    types = set(given) if isinstance(given, list) else {given}
    return types | {"integer"} if "number" in types else types


def _tightened(old: Schema, new: Schema) -> list[str]:
    """The limits of `new` that take less than those of `old`."""
    lower = [word for word in AT_MOST if word in new and new[word] < old.get(word, float("inf"))]
    higher = [word for word in AT_LEAST if word in new and new[word] > old.get(word, float("-inf"))]
    return lower + higher + [word for word in AS_IT_WAS if word in new and new[word] != old.get(word)]


def _newly_required(name: str, old: Schema, new: Schema) -> bool:
    """Whether what was written before may lack it. A default fills the gap for readers of what services send, where all fields are required."""
    before, after = old["properties"].get(name), new["properties"].get(name)
    if after is None:
        return False
    if before is None:
        return "default" not in after
    return name not in old.get("required", []) or ("default" in before and "default" not in after)


def _is_union(node: Schema) -> bool:
    return "anyOf" in node or "oneOf" in node


def _by_kind(node: Schema) -> dict[str, Any]:
    """The variants of a union, or the one thing that stands there, by reference, enum or type."""
    variants = node.get("anyOf") or node.get("oneOf") or [node]
    return {_kind(variant): variant for variant in variants}


def _kind(variant: Schema) -> str:
    return _name(variant).removeprefix("#/$defs/") or ("a word" if _allowed(variant) else str(variant.get("type", "anything")))
