"""Where a text stands that must stand nowhere: files, message stores and telemetry of a whole run, each with what it may not hold."""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tests.support.canaries import WORDS, Kind

ALL: tuple[Kind, ...] = ("key", "prompt", "answer")
NOT_CONTENT = ("NOTICES", "COSTS", "JOURNAL", "CANCELS", "KV_HEALTH", "KV_CONFIG")
"""Streams that hold no word of a prompt or an answer; no stream holds a key."""
INNER_WORD = re.compile(r"(?<=[^A-Za-z0-9])[A-Za-z0-9]{6,}(?=[^A-Za-z0-9])")
WORDS_OF_BYTES = re.compile(rb"[A-Za-z0-9]{6,}")


@dataclass(frozen=True)
class Rule:
    """What files of this name may not hold. The first rule that fits holds."""

    name: str
    kinds: tuple[Kind, ...]
    why: str


RULES = (
    *(Rule(f"*/streams/{stream}/msgs/*.blk", ALL, "facts about calls, not what was said") for stream in NOT_CONTENT),
    Rule("*.blk", ("key",), "messages hold prompts and answers, and never a key"),
    Rule("*/example-*.out", ("key",), "an example program prints the answer that it asked for"),
    Rule("*.log", ALL, "what a process says"),
    Rule("*.out", ALL, "what a process says"),
    Rule("*.err", ALL, "what a process says"),
    Rule("*/otlp/*", ALL, "spans and metrics as they were sent"),
    Rule("*ledger.sqlite*", ALL, "costs"),
    Rule("*/test_a_profile_of_the_aws_conf*/credentials", (), "AWS's own file of credentials, from which the test's key comes"),
    Rule("*/seen.*", (), "the list of what may not come out"),
    Rule("*", ("key",), "no file holds a key"),
)


@dataclass(frozen=True)
class Mark:
    """A text to look for, in the spelling in which it may stand. Where `word`, which is one of its own, does not stand, it does not either."""

    kind: Kind
    text: bytes
    word: bytes


@dataclass(frozen=True)
class Leak:
    """Where something stands that should not; never what."""

    kind: Kind
    place: str

    def __str__(self) -> str:
        return f"{self.place}: {self.kind}"


def marks_of(seen: Collection[tuple[Kind, str]]) -> list[Mark]:
    """The marked words and what was seen, plain and as JSON writes it."""
    found: dict[tuple[Kind, str], None] = {(kind, form): None for kind, text in [*WORDS.items(), *seen] for form in (text, json.dumps(text)[1:-1])}
    return [Mark(kind, text.encode(errors="replace"), max(INNER_WORD.findall(text), key=len, default="").encode()) for kind, text in found]


def rule_of(path: str) -> Rule:
    return next(rule for rule in RULES if fnmatch(path, rule.name))


def leaks_below(folder: Path, marks: Collection[Mark]) -> Iterator[Leak]:
    """Everything below a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        kinds = rule_of(path.as_posix()).kinds
        wanted = [mark for mark in marks if mark.kind in kinds]
        if wanted:
            yield from leaks_in(path.relative_to(folder).as_posix(), path.read_bytes(), wanted)


def leaks_in(name: str, body: bytes, marks: Collection[Mark]) -> Iterator[Leak]:
    """Each mark that stands in these bytes, with the line of its first place."""
    words = set(WORDS_OF_BYTES.findall(body))
    for mark in marks:
        if mark.word and mark.word not in words:
            continue
        at = body.find(mark.text)
        if at >= 0:
            yield Leak(mark.kind, f"{name}:{body.count(10, 0, at) + 1}")
