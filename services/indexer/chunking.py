"""A text cut where its content says so: what stands before or after a cut does not move it, so that an edit changes few chunks."""

import hashlib
import re
from collections.abc import Iterator
from zlib import crc32

CHUNKER = "lines-1"
"""Part of each chunk's id: other rules are another name."""
MIN_CHARS, MEAN_CHARS, MAX_CHARS = 600, 1500, 4000
"""Shorter only at the end of a text; longer never."""
LONGEST_UNIT = 400
UNIT = re.compile(r"[^\n]*\n|[^\n]+")
SENTENCE = re.compile(r".{40,}?[.!?;:。！？]\s+|.+", re.DOTALL)
PIECE = re.compile(rf".{{1,{LONGEST_UNIT - 1}}}(?:\s|$)|.{{1,{LONGEST_UNIT}}}", re.DOTALL)
HASHES = 1 << 32


def chunks(text: str) -> list[str]:
    """The parts of a text, in order; white space alone is none."""
    found: list[str] = []
    open_: list[str] = []
    size, before = 0, ""
    for unit in _units(text):
        if size + len(unit) > MAX_CHARS and open_:
            found.append("".join(open_))
            open_, size = [], 0
        open_.append(unit)
        size += len(unit)
        if size >= MIN_CHARS and _cuts(before, unit):
            found.append("".join(open_))
            open_, size = [], 0
        before = unit
    return [chunk for chunk in (*found, "".join(open_)) if chunk.strip()]


def chunk_id(chunk: str) -> str:
    """The same content under the same rules is the same chunk."""
    return hashlib.sha256(f"{CHUNKER}\n{chunk}".encode()).hexdigest()


def _cuts(before: str, unit: str) -> bool:
    """Whether a chunk may end with `unit`: its own content and that of the unit before decide, the likelier the longer it is."""
    return crc32(unit.encode(), crc32(before.encode())) < HASHES * len(unit) // (MEAN_CHARS - MIN_CHARS)


def _units(text: str) -> Iterator[str]:
    """Lines; of a long line its sentences, and of a long sentence its pieces."""
    for line in UNIT.findall(text):
        if len(line) <= LONGEST_UNIT:
            yield line
            continue
        for sentence in SENTENCE.findall(line):
            yield from PIECE.findall(sentence)
