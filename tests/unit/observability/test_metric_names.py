"""The page and the code say the same: every metric's name, kind, unit and labels."""

import re
from pathlib import Path

from observability.instruments import Counter, Histogram
from observability.metrics import INSTRUMENTS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "observability.md"
QUOTED = re.compile(r"`([^`]+)`")
KIND = re.compile(r"(histogram|counter|gauge)(?:, (s\b|\{\w+\}))?")
Row = tuple[str, str, tuple[str, ...]]


def said_by_the_page() -> dict[str, Row]:
    """Kind, unit and labels by name. `the same` are the labels of the row before, `as the duration` those of the first row."""
    found: dict[str, Row] = {}
    first: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    table = PAGE.read_text().split("| name | kind, unit |")[1].split("\n\n")[0]
    for line in table.splitlines()[2:]:
        names, kind, labels = (cell.strip() for cell in line.strip("|").split("|")[:3])
        given = tuple(QUOTED.findall(re.sub(r"\([^)]*\)", "", labels)))
        given = (*before, *given) if labels.startswith("the same") else first if labels.startswith("as the duration") else given
        before, first = given, first or given
        told = KIND.match(kind)
        assert told is not None, line
        found |= dict.fromkeys(QUOTED.findall(names), (told[1], told[2] or "", given))
    return found


def said_by_the_code() -> dict[str, Row]:
    def kind(instrument: object) -> str:
        return "counter" if isinstance(instrument, Counter) else "histogram" if isinstance(instrument, Histogram) else "gauge"

    return {each.declared.name: (kind(each), each.declared.unit, each.declared.labels) for each in INSTRUMENTS}


def test_the_page_and_the_code_name_the_same_metrics_with_the_same_kinds_units_and_labels() -> None:
    assert said_by_the_code() == said_by_the_page()


def test_no_label_is_a_request_an_id_or_a_subject() -> None:
    labels = {label for each in INSTRUMENTS for label in each.declared.labels}
    assert not labels & {"request_id", "call_id", "trace_id", "span_id", "subject", "id", "message"}


def test_buckets_rise_and_seconds_reach_from_a_millisecond_to_ten_minutes() -> None:
    for each in INSTRUMENTS:
        if isinstance(each, Histogram):
            assert list(each.bounds) == sorted(set(each.bounds)), each.declared.name
        if isinstance(each, Histogram) and each.declared.name.startswith(("headrace.", "messaging.")):
            assert (each.bounds[0], each.bounds[-1]) == (0.001, 600.0)
