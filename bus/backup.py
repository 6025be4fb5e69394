"""All streams to a folder while everything runs, in the order in which nothing can be lost (ADR 27)."""

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from nats.js.api import StorageType

from bus.connection import Bus
from bus.errors import Unavailable
from bus.manifest import BadBackup, Position, SavedStream
from bus.snapshots import Advance, Json, durables, following, snapshot, state_of
from bus.streams import BUCKETS, streams

FIRST = ("CALLS",)
"""A call is removed when its attempt is stored: what is missing here must be found in what is saved later."""
LAST = ("RESULTS", "VERDICTS", "ATTEMPTS", "JOURNAL", "CANCELS", "REQUESTS")
"""Effects before their causes: each has its cause in the backup, the requests that all others refer to above all."""


def order(root: str, chosen: Sequence[str] = ()) -> list[str]:
    """The streams that are saved, in order. What lives in memory is not. Raises BadBackup for a name that is not declared."""
    declared = {**streams(root), **{str(bucket.name): bucket for bucket in BUCKETS}}
    kept = [name for name, stream in declared.items() if stream.storage != StorageType.MEMORY]
    strange = sorted(set(chosen) - set(kept))
    if strange:
        raise BadBackup(f"{', '.join(map(repr, strange))}: no stream that is saved; choose from {', '.join(kept)}")
    middle = [name for name in kept if name not in FIRST + LAST]
    return [name for name in (*FIRST, *middle, *LAST) if not chosen or name in chosen]


async def positions(bus: Bus, names: Sequence[str]) -> list[Position]:
    """Where each durable is. To be read before any stream is saved: what was acknowledged by now has its effect stored. Raises Unavailable."""
    found = []
    for stream in names:
        if await state_of(bus, stream) is None:
            raise Unavailable(f"stream {stream!r} is missing: run 'headrace doctor --apply', or name the streams to save")
        for consumer in await durables(bus, stream):
            config = consumer["config"]
            at = consumer["delivered"] if config.get("ack_policy") == "none" else consumer["ack_floor"]
            found.append(Position(stream=stream, config=config, acknowledged=at.get("stream_seq", 0)))
    return found


async def save(bus: Bus, stream: str, folder: Path, advance: Advance) -> SavedStream:
    """One stream into the folder. Raises Unavailable, OSError."""
    file = f"{stream}.snapshot"
    config, state = await snapshot(bus, stream, folder / file, advance)
    saved = SavedStream(name=stream, file=file, config=config, state=state)
    if not _replaces(config):
        return saved
    tail = f"{stream}.tail.jsonl"
    count = await _save_tail(bus, stream, state["last_seq"], folder / tail, advance)
    return saved.model_copy(update={"tail": tail, "tail_messages": count})


def _replaces(config: Json) -> bool:
    """Whether a message may make another one go: the snapshot lacks the one and the other then."""
    last_of_a_subject = config.get("max_msgs_per_subject", -1) > 0 and not config.get("discard_new_per_subject")
    return config["retention"] != "limits" or last_of_a_subject


async def _save_tail(bus: Bus, stream: str, after: int, file: Path, advance: Callable[[int], None]) -> int:
    """What was stored since the snapshot began, so that what went meanwhile is here if it was stored anew."""
    count = 0
    with file.open("w") as lines:
        async for stored in following(bus, stream, after):
            entry = {"seq": stored.seq, "subject": stored.subject, "headers": stored.headers, "body": base64.b64encode(stored.body).decode()}
            line = json.dumps(entry) + "\n"
            lines.write(line)
            advance(len(line))
            count += 1
    return count
