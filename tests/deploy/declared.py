"""The metrics that docs/observability.md declares, as Prometheus will spell them: the real exporter says how."""

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import promql_parser
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY

from tests.support.processes import ROOT

PAGE = ROOT / "docs" / "observability.md"
SEEN_BY_PROMETHEUS = {"up": frozenset[str]()}
EVERYWHERE = frozenset({"job", "instance"})
"""Labels that a scrape gives to each series."""


class Metric(NamedTuple):
    name: str
    kind: str
    unit: str
    labels: tuple[str, ...]


def declared() -> list[Metric]:
    """Each metric of the page's table. `the same` means the labels of the row above, `as the duration` those of the first row."""
    rows = re.findall(r"^\| (`[a-z].*?) \| (counter|gauge|histogram)(?:, (\{\w+\}|s\b))?[^|]*\| (.*?) \|", PAGE.read_text(), re.MULTILINE)
    found: list[Metric] = []
    for names, kind, unit, text in rows:
        own = re.findall(r"`([^`]+)`", re.sub(r"\([^)]*\)", "", text))
        inherited = found[-1].labels if "the same" in text else found[0].labels if "as the duration" in text else ()
        found += [Metric(name, kind, unit, (*inherited, *own)) for name in re.findall(r"`([^`]+)`", names)]
    return found


@cache
def series() -> dict[str, frozenset[str]]:
    """Every series name that a scrape has for these metrics, with its labels."""
    reader = PrometheusMetricReader()
    provider = MeterProvider([reader])
    meter = provider.get_meter("declared")
    try:
        for metric in declared():
            labels = dict.fromkeys(metric.labels, "x")
            match metric.kind:
                case "counter":
                    meter.create_counter(metric.name, metric.unit).add(1, labels)
                case "gauge":
                    meter.create_gauge(metric.name, metric.unit).set(1, labels)
                case _:
                    meter.create_histogram(metric.name, metric.unit).record(1, labels)
        samples = [sample for family in REGISTRY.collect() for sample in family.samples if not sample.name.startswith(("python_", "process_", "target_"))]
    finally:
        provider.shutdown()
    found = {sample.name: frozenset(label for label in sample.labels if not label.startswith("otel_scope")) for sample in samples}
    return {name: labels | EVERYWHERE for name, labels in {**found, **SEEN_BY_PROMETHEUS}.items()}


def walk(expression: object) -> Iterator[object]:
    """A parsed PromQL expression and all that stands in it."""
    yield expression
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        if (inner := getattr(expression, name, None)) is not None:
            yield from walk(inner)
    for argument in getattr(expression, "args", []):
        yield from walk(argument)


def faults(query: str) -> list[str]:
    """What a query names that nobody declares. Raises ValueError where it is no PromQL."""
    known, wrong = series(), []
    parts = list(walk(promql_parser.parse(query)))
    selectors = [part for part in parts if isinstance(part, promql_parser.VectorSelector)]
    wrong += [f"{selector.name!r} is no metric of docs/observability.md" for selector in selectors if selector.name not in known]
    labels = frozenset[str]().union(*(known.get(str(selector.name), frozenset()) for selector in selectors))
    for selector in selectors:
        own = known.get(str(selector.name), frozenset())
        wrong += [f"{selector.name} has no label {matcher.name!r}" for matcher in selector.matchers.matchers if matcher.name not in own]
    for part in parts:
        if isinstance(part, promql_parser.AggregateExpr) and part.modifier is not None:
            inside = [known.get(str(inner.name), frozenset()) for inner in walk(part.expr) if isinstance(inner, promql_parser.VectorSelector)]
            wrong += [f"nothing has the label {label!r} by which is summed" for label in part.modifier.labels if not any(label in own for own in inside)]
        if isinstance(part, promql_parser.BinaryExpr) and part.modifier is not None and part.modifier.matching is not None:
            wrong += [f"nothing has the label {label!r} by which is matched" for label in part.modifier.matching.labels if label not in labels]
    return wrong


def vectors(query: str) -> list[str]:
    """The selectors of a query, each alone, as `last_over_time(x[1h])` would be asked."""
    parts = walk(promql_parser.parse(query))
    return [part.prettify() for part in parts if isinstance(part, promql_parser.VectorSelector)]
