"""Times and texts as every database keeps them."""

from datetime import UTC, datetime

NO_NUL = str.maketrans({"\0": "\N{REPLACEMENT CHARACTER}"})
"""PostgreSQL keeps no NUL: for `str.translate`."""


def utc_text(moment: datetime) -> str:
    """`2026-11-21T12:00:00.000000Z`: UTC text of one width sorts and compares in any database."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
