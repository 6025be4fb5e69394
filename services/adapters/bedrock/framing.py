"""AWS event streams out of a byte stream, whatever way it was cut into chunks.

https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html: total length, length of the headers, CRC of these two, headers, payload,
CRC of it all; big-endian.
"""

import struct
import zlib
from functools import lru_cache

from pydantic_core import to_json

from ..protocol import Event

PRELUDE = struct.Struct(">III")
CRC = struct.Struct(">I")
MAX_BYTES = 24 * 1024 * 1024 + 256 * 1024
"""The largest message: a payload of 24 MiB, and its headers."""
TEXT = 7
SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by its type, where the type alone tells; 6 and 7 begin with their length."""
ERROR = "error"
"""The name of an event that says only a code and a message."""


class EventStreamReader:
    """Feed bytes, get the messages that are complete. Raises ValueError where a checksum does not hold."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes."""
        self._rest += chunk
        events: list[Event] = []
        start = 0
        try:
            while (end := self._end(start)) is not None:
                events.append(_event(bytes(self._rest[start:end])))
                start = end
        except ValueError:
            if not events:
                raise
            # what came before counts; the next call fails at the same place
        del self._rest[:start]
        return events

    def close(self) -> list[Event]:
        """Nothing: a message that is not whole says nothing."""
        return []

    def _end(self, start: int) -> int | None:
        """Where the message that begins at `start` ends, if all of it is there."""
        if len(self._rest) < start + PRELUDE.size:
            return None
        total, headers, crc = PRELUDE.unpack_from(self._rest, start)
        if zlib.crc32(self._rest[start : start + 8]) != crc:
            raise ValueError("the checksum of a message's first bytes does not hold")
        if total > MAX_BYTES or headers + PRELUDE.size + CRC.size > total:
            raise ValueError(f"a message of {total} bytes with headers of {headers}")
        return start + total if len(self._rest) >= start + total else None


def _event(message: bytes) -> Event:
    if zlib.crc32(message[: -CRC.size]) != CRC.unpack_from(message, len(message) - CRC.size)[0]:
        raise ValueError("the checksum of a message does not hold")
    begin = PRELUDE.size + PRELUDE.unpack_from(message)[1]
    name, said = _named(message[PRELUDE.size : begin])
    return Event(said or message[begin : -CRC.size].decode("utf-8", "replace"), name)


@lru_cache(maxsize=256)
def _named(raw: bytes) -> tuple[str, str | None]:
    """What a message with these headers is called, and what it says in place of its payload: the headers of most are the same."""
    try:
        headers = _headers(raw)
    except (struct.error, IndexError, KeyError) as error:
        raise ValueError(f"the headers of a message cannot be read: {error!r}") from None
    if headers.get(":message-type") == "error":
        return ERROR, to_json({"code": headers.get(":error-code"), "message": headers.get(":error-message")}).decode()
    return headers.get(":exception-type") or headers.get(":event-type") or "message", None


def _headers(raw: bytes) -> dict[str, str]:
    """The headers that are text; the others are passed over."""
    found: dict[str, str] = {}
    at = 0
    while at < len(raw):
        name = raw[at + 1 : at + 1 + raw[at]].decode()
        at += 1 + raw[at]
        kind, at = raw[at], at + 1
        if kind in (6, TEXT):
            (length,) = struct.unpack_from(">H", raw, at)
            if kind == TEXT:
                found[name] = raw[at + 2 : at + 2 + length].decode()
            at += 2 + length
        else:
            at += SIZES[kind]
    return found
