"""The SSE reader gives the same events however the bytes were cut."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from services.adapters.protocol import Event
from services.adapters.sse import SseReader

STREAM = (
    '\ufeffdata: {"a": 1}\r\n\r\n: a comment\nevent: error\ndata: first\ndata:second\nid: 7\nretry: 10\n\ndata\n\n'
    "event: nothing\n\ndata: Grüße 🌍\r\rdata: [DONE]\n\n"
).encode()
EVENTS = [Event('{"a": 1}'), Event("first\nsecond", "error"), Event(""), Event("Grüße 🌍"), Event("[DONE]")]


def read(chunks: list[bytes]) -> list[Event]:
    reader = SseReader()
    return [event for chunk in chunks for event in reader.feed(chunk)] + reader.close()


def test_a_whole_stream_gives_its_events() -> None:
    assert read([STREAM]) == EVENTS


def test_a_cut_at_any_byte_changes_nothing() -> None:
    for at in range(len(STREAM) + 1):
        assert read([STREAM[:at], STREAM[at:]]) == EVENTS


def test_one_byte_a_chunk_changes_nothing() -> None:
    assert read([bytes([byte]) for byte in STREAM]) == EVENTS


def test_an_event_is_given_as_soon_as_its_blank_line_is_there() -> None:
    reader = SseReader()
    assert reader.feed(b"data: x\n") == []
    assert reader.feed(b"\n") == [Event("x")]


def test_an_event_without_its_last_blank_line_is_given_at_the_end() -> None:
    assert read([b"data: a\n\ndata: b"]) == [Event("a"), Event("b")]
    assert read([b"data: a\n\ndata: b\r"]) == [Event("a"), Event("b")]


LINES = st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=4)


@settings(deadline=None)
@given(st.lists(LINES, max_size=5), st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 400), max_size=8))
def test_what_was_written_is_read(events: list[list[str]], end: str, cuts: list[int]) -> None:
    raw = "".join("".join(f"data: {line}{end}" for line in lines) + end for lines in events).encode()
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    chunks = [raw[start:stop] for start, stop in pairwise(edges)]
    assert read(chunks) == [Event("\n".join(lines)) for lines in events]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_no_bytes_break_the_reader(chunks: list[bytes]) -> None:
    assert read(chunks) == read([b"".join(chunks)])
