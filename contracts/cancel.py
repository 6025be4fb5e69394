"""A producer's wish to end a request."""

from .base import Closed


class CancelV1(Closed):
    """Ends the request named by the subject, begun or not, even before it arrives."""

    reason: str | None = None
