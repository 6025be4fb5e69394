"""Create what streams.py declares, and say what on the server differs from it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import nats.errors
from nats.js.api import StreamConfig
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError
from nats.js.manager import JetStreamManager

from bus.connection import Bus
from bus.errors import Unavailable
from bus.streams import KV_CONFIG, KV_HEALTH, RESULTS_AGE_S, Consumer, consumer_drift, consumers, stream_drift, streams

API_TIMEOUT_S = 10.0
ELECTION_S = 15.0
AWAY_S, FAR_BEHIND = 5.0, 1000
"""A replica that was not heard of for so long, or lacks so many operations, is worth a word. The server says `offline` much later."""
NO_LEADER_YET = (10008, 10009, 10118)
NOT_CLUSTERED = 10074
REPLICAS = "headrace.replicas"
"""Metadata of KV_CONFIG: the number of replicas that the operator chose."""
OPERATORS = ("max_msgs", "max_bytes", "max_age", "max_msg_size", "storage")
"""What an operator may change on the server; mending leaves it alone."""
Value = TypeVar("Value")


@dataclass(frozen=True)
class Sizing:
    """What the operator decides; None leaves what stands. The number of replicas is kept on the server and becomes part of the declaration."""

    replicas: int | None = None
    requests_max_msgs: int | None = None
    requests_max_bytes: int | None = None


async def provision(bus: Bus, sizing: Sizing = Sizing()) -> list[str]:
    """Create missing streams, consumers and buckets and mend drifted ones; returns what was done, a line each.

    A cluster that is still electing is waited for. Raises Unavailable when the server refuses, naming what.
    """
    done: list[str] = []
    manager = bus.nc.jetstream(timeout=API_TIMEOUT_S)
    replicas = sizing.replicas or await _declared_replicas(manager)
    for name, declared in _declared(bus, replicas).items():
        try:
            done.extend(await _patiently(partial(_ensure_stream, manager, declared, replicas, sizing)))
        except (APIError, nats.errors.Error) as error:
            raise Unavailable(f"stream {name}: {_why(error)}") from error
    for consumer in consumers(bus.subjects.root).values():
        try:
            done.extend(await _patiently(partial(ensure_consumer, bus, consumer)))
        except (APIError, nats.errors.Error) as error:
            raise Unavailable(f"consumer {consumer.durable}: {_why(error)}") from error
    return done


def _declared(bus: Bus, replicas: int | None) -> dict[str, StreamConfig]:
    """All streams, that with the kept number of replicas first."""
    kept = KV_CONFIG.evolve(num_replicas=replicas or 1, metadata={REPLICAS: str(replicas)} if replicas else None)
    health = KV_HEALTH.evolve(num_replicas=replicas or 1)
    return {"KV_CONFIG": kept, "KV_HEALTH": health, **streams(bus.subjects.root, replicas or 1)}


async def _declared_replicas(manager: JetStreamManager) -> int | None:
    """The number of replicas that an operator chose before; None where nobody did."""
    try:
        metadata = (await _patiently(lambda: manager.stream_info("KV_CONFIG"))).config.metadata or {}
    except NotFoundError:
        return None
    except (APIError, nats.errors.Error) as error:
        raise Unavailable(f"stream KV_CONFIG: {_why(error)}") from error
    return int(metadata[REPLICAS]) if REPLICAS in metadata else None


async def _ensure_stream(manager: JetStreamManager, declared: StreamConfig, replicas: int | None, sizing: Sizing) -> list[str]:
    """Create a stream, or mend it and leave the operator's sizes, ages and (if none were declared) replicas."""
    if declared.name == "REQUESTS":
        declared = declared.evolve(max_msgs=sizing.requests_max_msgs, max_bytes=sizing.requests_max_bytes)
    try:
        found = (await manager.stream_info(str(declared.name))).config
    except NotFoundError:
        await manager.add_stream(declared)
        return [f"stream {declared.name}: created"]
    drifted = stream_drift(declared, found) + _replica_drift(declared, found, replicas)
    drifted += [
        f"stream {declared.name}: {field} is {getattr(found, field)}, wanted {getattr(declared, field)}"
        for field in ("max_msgs", "max_bytes")
        if declared.name == "REQUESTS" and getattr(declared, field) not in (None, getattr(found, field))
    ]
    if not drifted:
        return []
    given = {field: getattr(declared, field) for field in ("max_msgs", "max_bytes") if declared.name == "REQUESTS" and getattr(declared, field) is not None}
    kept = {field: getattr(found, field) for field in OPERATORS if field not in given}
    if replicas is None:
        kept["num_replicas"] = found.num_replicas
    await manager.update_stream(declared.evolve(**kept))
    return [f"{line}: mended" for line in drifted]


def _replica_drift(declared: StreamConfig, found: StreamConfig, replicas: int | None) -> list[str]:
    lines = []
    if replicas is not None and found.num_replicas != replicas:
        lines.append(f"stream {declared.name}: num_replicas is {found.num_replicas}, declared {replicas}")
    kept = (found.metadata or {}).get(REPLICAS)
    if declared.name == "KV_CONFIG" and replicas is not None and kept != str(replicas):
        lines.append(f"stream {declared.name}: the declared number of replicas is {kept}, wanted {replicas}")
    return lines


async def _patiently(work: Callable[[], Awaitable[Value]]) -> Value:
    """What the server refuses for want of a leader is asked again for a while."""
    loop = asyncio.get_running_loop()
    end = loop.time() + ELECTION_S
    while True:
        try:
            return await work()
        except (ServiceUnavailableError, nats.errors.TimeoutError) as error:
            waiting = isinstance(error, nats.errors.TimeoutError) or error.err_code in NO_LEADER_YET
            if not waiting or loop.time() > end:
                raise
        await asyncio.sleep(0.25)


def _why(error: Exception) -> str:
    text = error.description or str(error) if isinstance(error, APIError) else str(error)
    if isinstance(error, APIError) and error.err_code == NOT_CLUSTERED:
        return f"{text}: this server is not part of a cluster; give --replicas 1, or the URLs of one"
    return text or type(error).__name__


async def drift(bus: Bus) -> list[str]:
    """What differs from the declaration, a line each; empty when all is as declared."""
    lines: list[str] = []
    manager = bus.nc.jetstream(timeout=API_TIMEOUT_S)
    replicas = await _declared_replicas(manager)
    for name, declared in _declared(bus, replicas).items():
        try:
            found = (await manager.stream_info(name)).config
            lines.extend(stream_drift(declared, found) + _replica_drift(declared, found, replicas))
        except NotFoundError:
            lines.append(f"stream {name}: missing")
    for consumer in consumers(bus.subjects.root).values():
        lines.extend(await drift_of(bus, consumer))
    return lines


async def lagging(bus: Bus) -> list[str]:
    """Streams without a leader, and replicas that are away or far behind, a line each; empty on a server that stands alone."""
    lines: list[str] = []
    for info in await bus.nc.jetstream(timeout=API_TIMEOUT_S).streams_info():
        if info.cluster is None:
            continue
        if not info.cluster.leader:
            lines.append(f"stream {info.config.name}: no leader; what is published waits until most of its nodes are back")
        for peer in info.cluster.replicas or []:
            unheard = not peer.active or peer.active > AWAY_S * 1e9  # a leader elected since its death has never heard it
            if peer.offline or (not peer.current and unheard):
                lines.append(f"stream {info.config.name}: its replica on {peer.name} is away")
            elif (peer.lag or 0) > FAR_BEHIND:
                lines.append(f"stream {info.config.name}: its replica on {peer.name} is {peer.lag} operations behind")
    return lines


async def drift_of(bus: Bus, consumer: Consumer) -> list[str]:
    """What differs for one durable."""
    manager = bus.nc.jetstream(timeout=API_TIMEOUT_S)
    try:
        return consumer_drift(consumer, (await manager.consumer_info(consumer.stream, consumer.durable)).config)
    except NotFoundError:
        return [f"consumer {consumer.durable}: missing"]


async def ensure_consumer(bus: Bus, consumer: Consumer, *, again: bool = False, timeout_s: float = API_TIMEOUT_S) -> list[str]:
    """Create a durable or bring it to its declaration. `again`: it was deleted while in use, so what is older than the results is not read again."""
    manager = bus.nc.jetstream(timeout=timeout_s)
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
