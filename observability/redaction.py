"""Takes secrets out of what leaves a process for people to read: log lines, spans, notices, dead letters' and providers' words."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from observability.secret_shapes import CARD, HIDDEN, NAME_ANCHORS, PERSONS, PUNCTUATED, SECRET_PARAMETER, SECRETS, WORDLESS, Shape

MIN_SECRET = 6
"""Shorter ones would blacken innocent words."""

_concealed: frozenset[str] = frozenset()
_forms: tuple[str, ...] = ()

_innocent: set[str] = set()
"""Values of log fields that were looked at: tenants, models, outcomes come again and again."""
INNOCENT = 4096
SHORTEST_KEY = 16
_PLAIN = frozenset({int, float, bool, type(None)})


def conceal(*values: str) -> None:
    """From now on these exact values are taken out of everything, whatever they look like."""
    global _concealed, _forms
    new = {value for value in values if len(value) >= MIN_SECRET} - _concealed
    if new:
        _concealed |= new
        forms = {form for value in _concealed for form in _written(value)}
        _forms = tuple(sorted(forms, key=len, reverse=True))
        _innocent.clear()


def conceal_url(url: str) -> None:
    """Conceal what an address carries that is no address: password or token, and keys in its query."""
    parts = urlsplit(url)
    who, _, _ = parts.netloc.rpartition("@")
    user, _, password = who.partition(":")
    query = [value for name, _, value in (pair.partition("=") for pair in parts.query.split("&")) if SECRET_PARAMETER.fullmatch(name)]
    conceal(*(unquote(value) for value in (password or user, *query)))


def concealed() -> frozenset[str]:
    """The exact values that this process conceals."""
    return _concealed


def _written(value: str) -> set[str]:
    """As it stands, and as it is written in JSON, in Python and in an address."""
    return {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1], quote(value, safe="")}


def without_secrets(text: str) -> str:
    """`text` with everything that this process knows, or that looks like a secret, replaced by `***`. A text without any costs microseconds."""
    for form in _forms:
        if form in text:
            text = text.replace(form, HIDDEN)
    return _without(text, SECRETS)


def free_text(text: str) -> str:
    """For words of others (a provider's error, a reason): without secrets, and without what names or bills a person.

    Not for fields of our own: a number or an address there is technical, and has to stay what it is.
    """
    return CARD.sub(_card, _without(without_secrets(text), PERSONS))


def suspicious(fields: Mapping[str, Any]) -> bool:
    """Whether a log line of these fields has to be looked at as a whole. For ids, names and numbers the answer is no, and costs a tenth of that look."""
    new = []
    for value in fields.values():
        if type(value) is str:
            if value not in _innocent:
                new.append(value)
        elif type(value) not in _PLAIN:
            return True
    names = "\0".join(fields)
    if names not in _innocent:
        if any(anchor in f'{name}"'.lower() for name in fields for anchor in NAME_ANCHORS):
            return True
        _innocent.add(names)
    return bool(new) and _guilty(new)


def _guilty(values: list[str]) -> bool:
    text = "\0".join(values)
    if PUNCTUATED.search(text) is not None or any(map(text.__contains__, _forms)) or (len(text) >= SHORTEST_KEY and WORDLESS.search(text) is not None):
        return True
    if len(_innocent) >= INNOCENT:
        _innocent.clear()
    _innocent.update(values)
    return False


def _without(text: str, shapes: tuple[Shape, ...]) -> str:
    lowered = text.lower()
    anchors: tuple[str, ...] = ()
    found = False
    for shape in shapes:
        if shape.anchors is not anchors:  # shapes of the same anchors stand together
            anchors = shape.anchors
            found = any(map(lowered.__contains__, anchors))
        if found:
            text = shape.pattern.sub(shape.shown, text)
    return text


def _card(match: re.Match[str]) -> str:
    digits = [int(character) for character in reversed(match[0]) if character.isdigit()]
    odd, even = sum(digits[::2]), sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return match[0] if len(digits) > 19 or (odd + even) % 10 else "[card]"
