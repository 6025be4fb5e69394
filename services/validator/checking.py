"""Whether an answer is what its request asked for: found as JSON, checked against its schema, judged."""

import json
import math
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import jsonschema_rs
from pydantic_core import from_json

from contracts.attempt import AttemptFinishedV1
from contracts.content import text_of
from contracts.origin import OriginV1
from contracts.request import OutputV1

FENCE = re.compile(r"```[A-Za-z0-9_+-]*[ \t]*\r?\n(.*?)```", re.DOTALL)
OPENERS = re.compile(r"[\[{]")
MAX_CANDIDATES = 8
MAX_STARTS = 64
MAX_SCANNED = 2_000_000
"""Opening brackets tried in prose, and characters read in vain: bounds the work on an answer made of brackets."""
MAX_PROBLEMS = 10
SHOWN_CHARACTERS = 80
CACHED_VALIDATORS = 256
PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
DECODER = json.JSONDecoder()
HINTS: Mapping[str, str] = {
    "required": "add this property",
    "additionalProperties": "leave this property out",
    "unevaluatedProperties": "leave this property out",
    "type": "give a value of the type that the schema names",
    "enum": "choose one of the listed values exactly as written",
    "const": "write exactly this value",
    "pattern": "write it in the pattern's form",
    "format": "write it in this format",
    "minLength": "write more",
    "maxLength": "write less",
    "minItems": "add items",
    "maxItems": "leave items out",
    "uniqueItems": "leave repeated items out",
    "minimum": "give a larger number",
    "maximum": "give a smaller number",
    "anyOf": "match one of the alternatives of the schema",
    "oneOf": "match exactly one of the alternatives of the schema",
}


class InvalidSchema(ValueError):
    """The request's own schema cannot be used."""


@dataclass(frozen=True)
class Found:
    """A JSON value that stood in an answer."""

    value: Any


@dataclass(frozen=True)
class Checked:
    """The value to hand on, or the problems of the candidate that came nearest."""

    parsed: Any
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Succeed:
    parsed: Any = None


@dataclass(frozen=True)
class Repair:
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Fail:
    type: str
    message: str


Judgement = Succeed | Repair | Fail


def judge(attempt: AttemptFinishedV1, now: datetime, *, late: bool = False) -> Judgement:
    """What becomes of an answered attempt."""
    output, finish = attempt.origin.output, attempt.summary.finish_reason
    if output is None or finish == "tool_call":
        return Succeed()
    if finish == "length":
        return Fail("invalid_output", "the answer was truncated at its token limit before its JSON was complete: raise sampling.max_output_tokens")
    if finish == "content_filter":
        return Fail("invalid_output", "the model refused to answer (content_filter), so there is no JSON to check")
    text = text_of(attempt.message.all_parts()) if attempt.message is not None else ""
    try:
        checked = check(text, output.json_schema)
    except InvalidSchema as error:
        return Fail("invalid_output", f"output.json_schema cannot be used: {error}")
    if not checked.problems:
        return Succeed(checked.parsed)
    if _may_repair(attempt.origin, output, attempt.slip.repairs, now) and not late:
        return Repair(checked.problems)
    return Fail("invalid_output", "the answer breaks output.json_schema: " + "; ".join(checked.problems))


def _may_repair(origin: OriginV1, output: OutputV1, repairs: int, now: datetime) -> bool:
    return repairs < output.max_repairs and now < origin.deadline


def check(text: str, schema: Mapping[str, Any]) -> Checked:
    """The first JSON value in the text that the schema accepts. Raises InvalidSchema."""
    validator = VALIDATORS.get(schema)
    nearest: tuple[str, ...] | None = None
    for found in find_json(text):
        problems = _problems(validator, found.value)
        if not problems:
            return Checked(found.value)
        if nearest is None or len(problems) < len(nearest):
            nearest = problems
    if nearest is None:
        nearest = (f"$: no JSON found: got {_shown(text)}: answer with the JSON value alone, without prose or fences",)
    return Checked(None, nearest[:MAX_PROBLEMS])


def find_json(text: str) -> list[Found]:
    """JSON values in an answer, likeliest first: the whole text, what fences hold, what stands balanced in prose. Never raises."""
    whole = _parse(text.strip())
    if whole is not None:
        return [whole]
    fenced = [found for match in FENCE.finditer(text) if (found := _parse(match[1].strip())) is not None]
    return (fenced + list(_in_prose(text)))[:MAX_CANDIDATES]


def _parse(text: str) -> Found | None:
    """Strict JSON: no NaN, no lone surrogates, no nesting or numbers that could not be sent on."""
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError:
        return None
    return Found(value) if _finite(value) else None


def _finite(value: Any) -> bool:
    """Numbers like 1e999 are JSON and become infinite, which no JSON can say again."""
    open_values = [value]
    while open_values:
        each = open_values.pop()
        if isinstance(each, dict):
            open_values.extend(each.values())
        elif isinstance(each, list):
            open_values.extend(each)
        elif isinstance(each, float) and not math.isfinite(each):
            return False
    return True


def _in_prose(text: str) -> Iterator[Found]:
    position = scanned = 0
    for _ in range(MAX_STARTS):
        opener = OPENERS.search(text, position)
        if opener is None or scanned > MAX_SCANNED:
            return
        position = opener.start() + 1
        try:
            _, end = DECODER.raw_decode(text, opener.start())
        except json.JSONDecodeError as error:
            scanned += error.pos - opener.start()
            continue
        except (ValueError, RecursionError):  # a number of thousands of digits, or nesting without end
            continue
        found = _parse(text[opener.start() : end])
        if found is not None:
            yield found
            position = end


class Validators:
    """Compiled schemas, the most recently used kept. Nothing is ever fetched: a reference outside the schema makes it invalid."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._compiled: OrderedDict[str, jsonschema_rs.Validator] = OrderedDict()

    def get(self, schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
        key = json.dumps(schema, sort_keys=True, separators=(",", ":"))
        if key not in self._compiled:
            self._compiled[key] = _compile(schema)
            if len(self._compiled) > self._size:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        return self._compiled[key]


VALIDATORS = Validators(CACHED_VALIDATORS)


def _compile(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    try:
        return jsonschema_rs.validator_for(dict(schema), offline=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise InvalidSchema(str(error).splitlines()[0]) from error


def _problems(validator: jsonschema_rs.Validator, value: Any) -> tuple[str, ...]:
    errors = islice(validator.iter_errors(value), MAX_PROBLEMS)
    return tuple(line for error in errors for line in _lines(error))


def _lines(error: jsonschema_rs.ValidationError) -> Iterator[str]:
    """Path, rule, what was got and a hint; one line for each property that is missing or too much."""
    rule, path = error.kind.name, list(error.instance_path)
    hint = HINTS.get(rule, "mend this")
    if rule == "required":
        yield f"{_path([*path, getattr(error.kind, 'property', '?')])}: rule 'required': got nothing: {hint}"
    elif unexpected := getattr(error.kind, "unexpected", None):
        for name in unexpected:
            got = error.instance.get(name) if isinstance(error.instance, dict) else None
            yield f"{_path([*path, name])}: rule {rule!r}: got {_shown(got)}: {hint}"
    else:
        yield f"{_path(path)}: rule {rule!r}: got {_shown(error.instance)}: {_cut(error.message.splitlines()[0], 2 * SHOWN_CHARACTERS)}; {hint}"


def _path(steps: list[str | int]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" if PLAIN_KEY.match(step) else f"[{json.dumps(step)}]" for step in steps)


def _shown(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False), SHOWN_CHARACTERS)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
