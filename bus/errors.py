"""Errors that say what the bus should do next."""


class Retry(Exception):
    """Another try may help: the message is redelivered after `after_s` seconds."""

    def __init__(self, after_s: float, message: str = "") -> None:
        super().__init__(message or f"try again in {after_s} s")
        self.after_s = after_s


class Reject(Exception):
    """No try can help: the message becomes a dead letter under a constant `reason`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Exists(Exception):
    """Somebody else wrote it first: the expected sequence 0 was refused (server error 10071)."""


class Unavailable(Exception):
    """The bus cannot store it now (full, no leader, no answer): back-pressure, never a reason to drop."""


class TooLarge(Exception):
    """The body is larger than the server's `max_payload`; no retry can help."""
