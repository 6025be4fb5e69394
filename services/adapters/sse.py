"""Server-sent events out of a byte stream (WHATWG HTML, section 9.2.6), whatever way it was cut into chunks."""

from .protocol import Event


class SseReader:
    """Feed bytes, get the events that are complete. An event without its closing blank line is given by `close` alone."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[str] = []
        self._name = ""
        self._started = False

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes."""
        self._rest += chunk
        return self._take_lines(final=False)

    def close(self) -> list[Event]:
        """The events left at the end of the stream: some servers omit the last blank line."""
        events = self._take_lines(final=True)
        if self._rest:
            self._field(bytes(self._rest))
            self._rest.clear()
        return events + self._dispatch()

    def _take_lines(self, *, final: bool) -> list[Event]:
        events: list[Event] = []
        start = 0
        while (line := self._next_line(start, final=final)) is not None:
            text, start = line
            if text:
                self._field(text)
            else:
                events += self._dispatch()
        del self._rest[:start]
        return events

    def _next_line(self, start: int, *, final: bool) -> tuple[bytes, int] | None:
        """The line that begins at `start` and where the next begins; lines end with LF, CR or CRLF."""
        rest = self._rest
        feed = rest.find(b"\n", start)
        carriage = rest.find(b"\r", start) if feed == -1 else rest.find(b"\r", start, feed)
        if carriage == -1:
            return None if feed == -1 else (bytes(rest[start:feed]), feed + 1)
        if carriage + 1 == len(rest):
            return (bytes(rest[start:carriage]), carriage + 1) if final else None
        return bytes(rest[start:carriage]), carriage + (2 if rest[carriage + 1] == 0x0A else 1)

    def _field(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        if not self._started:
            self._started = True
            text = text.removeprefix("\ufeff")
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value

    def _dispatch(self) -> list[Event]:
        events = [Event("\n".join(self._data), self._name or "message")] if self._data else []
        self._data, self._name = [], ""
        return events
