"""Create what streams.py declares, and say what on the server differs from it."""

import contextlib
from datetime import UTC, datetime, timedelta

import nats.errors
from nats.js.errors import APIError, NotFoundError

from bus.connection import Bus
from bus.errors import Unavailable
from bus.streams import KV_CONFIG, RESULTS_AGE_S, Consumer, consumer_drift, consumers, stream_drift, streams

API_TIMEOUT_S = 10.0


async def provision(bus: Bus, replicas: int = 1) -> list[str]:
    """Create missing streams, consumers and buckets and mend drifted ones; returns what was done, a line each.

    Raises Unavailable when the server refuses, naming what.
    """
    done: list[str] = []
    manager = bus.nc.jetstream(timeout=API_TIMEOUT_S)
    for name, declared in {**streams(bus.subjects.root, replicas), "KV_CONFIG": KV_CONFIG}.items():
        try:
            found = (await manager.stream_info(name)).config
        except NotFoundError:
            await manager.add_stream(declared)
            done.append(f"stream {name}: created")
            continue
        except (APIError, nats.errors.Error) as error:
            raise Unavailable(f"stream {name}: {error}") from error
        drifted = stream_drift(declared, found)
        if drifted:
            await manager.update_stream(declared)
            done.extend(f"{line}: mended" for line in drifted)
    for consumer in consumers(bus.subjects.root).values():
        done.extend(await ensure_consumer(bus, consumer))
    return done


async def drift(bus: Bus) -> list[str]:
    """What differs from the declaration, a line each; empty when all is as declared."""
    lines: list[str] = []
    manager = bus.nc.jetstream(timeout=API_TIMEOUT_S)
    for name, declared in {**streams(bus.subjects.root), "KV_CONFIG": KV_CONFIG}.items():
        try:
            lines.extend(stream_drift(declared, (await manager.stream_info(name)).config))
        except NotFoundError:
            lines.append(f"stream {name}: missing")
    for consumer in consumers(bus.subjects.root).values():
        lines.extend(await drift_of(bus, consumer))
    return lines


async def drift_of(bus: Bus, consumer: Consumer) -> list[str]:
    """What differs for one durable."""
    manager = bus.nc.jetstream(timeout=API_TIMEOUT_S)
    try:
        return consumer_drift(consumer, (await manager.consumer_info(consumer.stream, consumer.durable)).config)
    except NotFoundError:
        return [f"consumer {consumer.durable}: missing"]


async def ensure_consumer(bus: Bus, consumer: Consumer, *, again: bool = False) -> list[str]:
    """Create a durable or bring it to its declaration. `again`: it was deleted while in use, so what is older than the results is not read again."""
    manager = bus.nc.jetstream(timeout=API_TIMEOUT_S)
    try:
        info = await manager.consumer_info(consumer.stream, consumer.durable)
    except NotFoundError:
        since = datetime.now(UTC) - timedelta(seconds=RESULTS_AGE_S) if again and consumer.stream != "CALLS" else None
        await manager.add_consumer(consumer.stream, consumer.config(since))
        return [f"consumer {consumer.durable}: created"]
    drifted = consumer_drift(consumer, info.config)
    if not drifted:
        return []
    wanted = consumer.config()
    wanted.deliver_policy, wanted.opt_start_time, wanted.opt_start_seq = info.config.deliver_policy, info.config.opt_start_time, info.config.opt_start_seq
    if consumer.lent:
        wanted.max_ack_pending = info.config.max_ack_pending
    await manager.add_consumer(consumer.stream, wanted)
    return [f"{line}: mended" for line in drifted]


async def delete_consumer(bus: Bus, stream: str, durable: str) -> None:
    """Delete a durable; one that is gone already is fine."""
    with contextlib.suppress(NotFoundError):
        await bus.nc.jetstream(timeout=API_TIMEOUT_S).delete_consumer(stream, durable)
