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


class NobodyListens(Unavailable):
    """Nobody has what was sent: the server knows of no stream or service on that subject."""


class Full(Unavailable):
    """The bus has no room: a stream is at its limit, or (`of_server`) the server's or account's storage is used up."""

    def __init__(self, stream: str, why: str, *, of_server: bool = False) -> None:
        make_room = (
            "give the NATS server more disk or its account a larger limit"
            if of_server
            else "raise its limit ('headrace doctor --apply --requests-max-msgs N --requests-max-bytes N'), or wait until old messages leave it"
            if stream == "REQUESTS"
            else "raise its limit, or wait until old messages leave it"
        )
        super().__init__(f"the bus is full, nothing was stored: {stream} ({why}); {make_room}")


class TooLarge(Exception):
    """The body is larger than the server's `max_payload`; no retry can help."""
