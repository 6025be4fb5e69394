"""What a process says on `/metrics`, as values by name and labels."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client.parser import text_string_to_metric_families

from observability import metrics

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
