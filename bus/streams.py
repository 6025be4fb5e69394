"""Streams, durable consumers and buckets as data; one path creates them and reports what drifted from the declaration."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RePublish,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    SubjectTransform,
)

from contracts.request import LANES

HOUR_S = 3600.0
RESULTS_AGE_S = 24 * HOUR_S
"""The idempotency horizon: an id may be used again after this."""
ACK_WAIT_S = 15.0
SERVED_LANES = ("interactive", "standard", "bulk")


def streams(root: str = "llm", replicas: int = 1) -> dict[str, StreamConfig]:
    """Every stream by name. Ages in seconds."""
    p = f"{root}.v1."
    new, keep = DiscardPolicy.NEW, RetentionPolicy.LIMITS
    declared = [
        StreamConfig(name="REQUESTS", subjects=[p + "request.>"], retention=keep, max_age=48 * HOUR_S, discard=new, duplicate_window=0.1),
        StreamConfig(name="CANCELS", subjects=[p + "cancel.*.*"], retention=keep, max_age=HOUR_S / 6),
        StreamConfig(name="CALLS", subjects=[p + "call.*.*.*.*.*"], retention=RetentionPolicy.WORK_QUEUE, allow_msg_schedules=True, allow_msg_ttl=True),
        StreamConfig(name="JOURNAL", subjects=[p + "begun.*.*.*", p + "lease.*"], retention=keep, max_age=25 * HOUR_S, allow_msg_ttl=True),
        StreamConfig(name="ATTEMPTS", subjects=[p + "attempt.*.*.*.*.*"], retention=keep, max_age=24 * HOUR_S),
        StreamConfig(name="VERDICTS", subjects=[p + "verdict.*.*.*.*"], retention=keep, max_age=24 * HOUR_S),
        StreamConfig(name="DELTAS", subjects=[p + "delta.*.*"], retention=keep, max_age=300, storage=StorageType.MEMORY, max_bytes=256 << 20),
        StreamConfig(
            name="RESULTS",
            subjects=[p + "settle.*.*"],
            retention=keep,
            max_age=RESULTS_AGE_S,
            discard=new,
            discard_new_per_subject=True,
            max_msgs_per_subject=1,
            subject_transform=SubjectTransform(src=p + "settle.*.*", dest=p + "result.{{wildcard(1)}}.{{wildcard(2)}}"),
            republish=RePublish(src=p + "result.*.*", dest=p + "result.{{wildcard(1)}}.{{wildcard(2)}}"),
        ),
        StreamConfig(name="COSTS", subjects=[p + "cost.*"], retention=keep, max_age=365 * 24 * HOUR_S, duplicate_window=120),
        StreamConfig(name="DOCUMENTS", subjects=[p + "document.*.*.*"], retention=keep, max_msgs_per_subject=1, discard=DiscardPolicy.OLD, allow_msg_ttl=True),
        StreamConfig(name="NOTICES", subjects=[p + "notice.*.*"], retention=keep, max_age=7 * 24 * HOUR_S, max_bytes=256 << 20),
        StreamConfig(name="DEAD_LETTERS", subjects=[p + "dead.*.*"], retention=keep, max_age=90 * 24 * HOUR_S, duplicate_window=120),
    ]
    for stream in declared:
        stream.allow_direct = True
        stream.num_replicas = replicas
        stream.storage = stream.storage or StorageType.FILE
        stream.duplicate_window = stream.duplicate_window or 2.0
        stream.max_consumers = -1
    return {str(stream.name): stream for stream in declared}


@dataclass(frozen=True)
class Consumer:
    """A durable pull consumer: who reads what, and how much may be unacknowledged fleet-wide."""

    stream: str
    durable: str
    filters: tuple[str, ...]
    max_ack_pending: int = 1000
    lent: bool = False
    """`max_ack_pending` is what it begins with: its service changes it while it runs, and a difference is no drift."""

    def config(self, start: datetime | None = None) -> ConsumerConfig:
        """The server's form. `start` is given when a deleted consumer is made again."""
        return ConsumerConfig(
            durable_name=self.durable,
            filter_subjects=list(self.filters),
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_deliver=-1,
            max_ack_pending=self.max_ack_pending,
            max_waiting=512,
            deliver_policy=DeliverPolicy.BY_START_TIME if start else DeliverPolicy.ALL,
            opt_start_time=start,
        )


def consumers(root: str = "llm") -> dict[str, Consumer]:
    """The durable consumers that do not depend on configuration, by name."""
    p = f"{root}.v1."
    declared = [Consumer("VERDICTS", "router-verdict", (p + "verdict.>",)), Consumer("CANCELS", "router-cancel", (p + "cancel.>",))]
    for lane in LANES:
        bare = (p + "request.*.*",) if lane == "standard" else ()
        declared.append(Consumer("REQUESTS", f"router-{lane}", (*bare, p + f"request.*.*.{lane}")))
    for served in SERVED_LANES:
        declared.append(Consumer("ATTEMPTS", f"router-failed-{served}", (p + f"attempt.failed.{served}.>",)))
        declared.append(Consumer("ATTEMPTS", f"validator-{served}", (p + f"attempt.answered.{served}.>", p + f"attempt.late.{served}.>")))
    declared.append(Consumer("ATTEMPTS", "meter", (p + "attempt.>",), max_ack_pending=4000))
    declared.append(Consumer("DOCUMENTS", "indexer-documents", (p + "document.>",)))
    declared.append(Consumer("RESULTS", "indexer-results", (p + "result.>",)))
    return {consumer.durable: consumer for consumer in declared}


KV_CONFIG = StreamConfig(
    name="KV_CONFIG",
    subjects=["$KV.CONFIG.>"],
    retention=RetentionPolicy.LIMITS,
    storage=StorageType.FILE,
    max_msgs_per_subject=10,
    allow_direct=True,
    allow_rollup_hdrs=True,
    deny_delete=True,
    discard=DiscardPolicy.NEW,
    duplicate_window=2.0,
)
KV_HEALTH = StreamConfig(
    name="KV_HEALTH",
    subjects=["$KV.HEALTH.>"],
    retention=RetentionPolicy.LIMITS,
    storage=StorageType.FILE,
    max_msgs_per_subject=1,
    max_age=24 * HOUR_S,
    max_bytes=64 << 20,
    allow_direct=True,
    allow_rollup_hdrs=True,
    deny_delete=True,
    discard=DiscardPolicy.NEW,
    duplicate_window=2.0,
)
BUCKETS = (KV_CONFIG, KV_HEALTH)

STREAM_FIELDS = (
    "subjects",
    "retention",
    "discard",
    "discard_new_per_subject",
    "max_msgs_per_subject",
    "allow_direct",
    "allow_msg_ttl",
    "allow_msg_schedules",
    "duplicate_window",
    "subject_transform",
    "republish",
)
CONSUMER_FIELDS = ("ack_wait", "ack_policy", "max_deliver", "max_ack_pending")


def stream_drift(declared: StreamConfig, found: StreamConfig) -> list[str]:
    """Differences in what delivery rests on; sizes, ages and replicas are the operator's."""
    return [
        f"stream {declared.name}: {field} is {_shown(getattr(found, field))}, declared {_shown(getattr(declared, field))}"
        for field in STREAM_FIELDS
        if _shown(getattr(found, field)) != _shown(getattr(declared, field))
    ]


def consumer_drift(declared: Consumer, found: ConsumerConfig) -> list[str]:
    """Differences between a declared durable and the server's."""
    wanted = declared.config()
    fields = [field for field in CONSUMER_FIELDS if not (declared.lent and field == "max_ack_pending")]
    lines = [
        f"consumer {declared.durable}: {field} is {_shown(getattr(found, field))}, declared {_shown(getattr(wanted, field))}"
        for field in fields
        if _shown(getattr(found, field)) != _shown(getattr(wanted, field))
    ]
    filters = set(found.filter_subjects or ([found.filter_subject] if found.filter_subject else []))
    if filters != set(declared.filters):
        lines.append(f"consumer {declared.durable}: filters are {sorted(filters)}, declared {sorted(declared.filters)}")
    return lines


def _shown(value: Any) -> str:
    """One spelling for what the server leaves out and what it says."""
    if value in (None, False, 0, -1, ""):
        return "off"
    if isinstance(value, SubjectTransform | RePublish):
        return f"{value.src} → {value.dest}"
    if isinstance(value, int | float):
        return f"{float(value):g}"
    return str(getattr(value, "value", value))
