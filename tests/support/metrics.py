"""What a process says on `/metrics`, as values by name and labels."""

import asyncio
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from bus.probes import PORT
from bus.server import free_port
from observability import metrics
from tests.support.stack import SERVICES, Stack

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(port: int) -> Series:
    """Every sample of one process; labels that are empty are left out, as Prometheus takes them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return samples(answer.read().decode())


def samples(text: str) -> Series:
    found: Series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = frozenset((name, value) for name, value in sample.labels.items() if value)
            found[sample.name, labels] = found.get((sample.name, labels), 0.0) + sample.value
    return found


def total(series: Series, name: str, **labels: str) -> float:
    """The sum of all samples of a name that have these labels. Dots of label names are given as underscores."""
    wanted = set(labels.items())
    return sum(value for (sample, found), value in series.items() if sample == name and wanted <= found)


def values(series: Series, name: str, label: str) -> set[str]:
    """Which values a label of a metric takes."""
    return {value for sample, labels in series if sample == name for key, value in labels if key == label}


@contextmanager
def recording_metrics() -> Iterator[None]:
    """Record in this process while the block runs; nothing is exported."""
    metrics.begin()
    try:
        yield
    finally:
        metrics.end()


async def begin_scraped(stack: Stack, config: dict[str, Any], environment: dict[str, str] | None = None) -> dict[str, int]:
    """Streams, configuration and one process of each service, each with a port of its own; the ports by service."""
    await stack.begin_services(1, config, ())
    ports = {service: free_port() for service in SERVICES}
    for service, port in ports.items():
        stack.start(f"{service}-1", {"OTEL_SDK_DISABLED": "false", PORT: str(port), **(environment or {})})
    await asyncio.gather(*(stack.ready(f"{service}-1") for service in SERVICES))
    return ports


async def scrape_all(ports: Iterable[int]) -> Series:
    """The samples of several processes, added up."""
    found: Series = {}
    for series in await asyncio.gather(*(asyncio.to_thread(scrape, port) for port in ports)):
        for key, value in series.items():
            found[key] = found.get(key, 0.0) + value
    return found
