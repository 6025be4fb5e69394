"""Events out of a byte stream of newline-delimited JSON, whatever way it was cut into chunks."""

from .protocol import Event


class LineReader:
    """Feed bytes, get the lines that are complete. Raises ValueError where a line is no UTF-8."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[Event]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [Event(line.decode()) for line in lines if line.strip()]

    def close(self) -> list[Event]:
        """The last line, where its newline is missing."""
        rest, self._rest = self._rest, b""
        return [Event(rest.decode("utf-8", "replace"))] if rest.strip() else []
