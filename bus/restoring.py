"""Streams from a backup into a server that has none of them, so that services that start afterwards go on (ADR 27)."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

from bus.connection import Bus
from bus.errors import Unavailable
from bus.manifest import Manifest, Position, SavedStream
from bus.provision import REPLICAS
from bus.snapshots import Advance, Json, ask, durables, following, led, restore, state_of
from bus.stored import Stored
from contracts.call import CallBegunV1

OF_ITS_OWN_STREAM = ("nats-expected-", "nats-scheduler", "nats-schedule-next", "nats-stream", "nats-sequence")
"""Headers that held for the first writing of a message only."""
ANY_REPLICAS = 0


class NotEmpty(Exception):
    """What is there would be overwritten, or is in use; the text says what to do."""


async def check_room(bus: Bus, names: Sequence[str], replace: bool) -> list[str]:
    """The streams that exist and may be replaced: those that were never written to, or all. Raises NotEmpty, Unavailable."""
    there, busy, written = [], [], []
    for name in names:
        state = await state_of(bus, name)
        if state is None:
            continue
        there.append(name)
        busy += [consumer["config"]["durable_name"] for consumer in await durables(bus, name) if consumer.get("num_waiting") or consumer.get("push_bound")]
        if state["last_seq"]:
            written.append(f"{name} ({state['messages']} messages)")
    if busy:
        raise NotEmpty(f"services are at work ({', '.join(busy[:5])}): stop them all, restore, then start them")
    if written and not replace:
        raise NotEmpty(f"there are messages already: {', '.join(written)}; restore into an empty server, or give --replace, which deletes them")
    return there


async def bring_back(bus: Bus, saved: SavedStream, folder: Path, replicas: int | None, advance: Advance) -> Json:
    """One stream, and on top of it what was stored while it was saved; its state. Raises Unavailable, OSError."""
    config = saved.config
    if replicas is not None:
        config = {**config, "num_replicas": replicas}
        if REPLICAS in config.get("metadata", {}):
            config["metadata"] = {**config["metadata"], REPLICAS: str(replicas)}
    state = await restore(bus, config, saved.state, folder / saved.file, advance)
    await led(bus, saved.name)
    if saved.tail:
        with (folder / saved.tail).open() as lines:
            for line in lines:
                entry = json.loads(line)
                headers = {name: value for name, value in entry["headers"].items() if not name.lower().startswith(OF_ITS_OWN_STREAM)}
                await bus.publish(entry["subject"], base64.b64decode(entry["body"]), headers)
                advance(len(line))
    return state


async def bring_to(bus: Bus, position: Position, replicas: int | None) -> None:
    """A durable as it was: it goes on behind what was acknowledged when the backup began. Raises Unavailable."""
    config = {name: value for name, value in position.config.items() if name != "opt_start_time"}
    if replicas is not None:
        config["num_replicas"] = ANY_REPLICAS
    info = await ask(bus, f"STREAM.INFO.{position.stream}", {})
    if info["config"]["retention"] == "workqueue":  # what is there is what was not acknowledged
        config["deliver_policy"] = "all"
        config.pop("opt_start_seq", None)
    else:
        config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": position.acknowledged + 1}
    await ask(bus, f"CONSUMER.CREATE.{position.stream}.{config['durable_name']}", {"stream_name": position.stream, "config": config, "action": ""})


async def drop_orphaned_claims(bus: Bus, manifest: Manifest) -> int:
    """Claims on calls that are not in the backup and left no attempt: standing, they would keep those calls from ever being made. Raises Unavailable."""
    saved = {stream.name: stream for stream in manifest.streams}
    if not {"CALLS", "JOURNAL", "ATTEMPTS"} <= saved.keys():
        return 0
    dropped = 0
    async for stored in following(bus, "JOURNAL", manifest.claims_after):
        if bus.subjects.kind(stored.subject) == "begun" and await _orphaned(bus, stored, saved["CALLS"].state["last_seq"]):
            await bus.delete("JOURNAL", stored.seq)
            dropped += 1
    return dropped


async def _orphaned(bus: Bus, stored: Stored, last_call: int) -> bool:
    if CallBegunV1.model_validate_json(stored.body).call_seq <= last_call:
        return False
    tenant, request_id, n = bus.subjects.tokens(stored.subject)[1:]
    return await bus.last("ATTEMPTS", bus.subjects.any_attempt(tenant, request_id, n)) is None


async def clear(bus: Bus, names: Sequence[str]) -> None:
    """Delete streams with their consumers. Raises Unavailable."""
    for name in names:
        try:
            await ask(bus, f"STREAM.DELETE.{name}", {})
        except Unavailable:
            if await state_of(bus, name) is not None:
                raise
