"""Points in time as people type them: an age, a date or a time."""

import re
from datetime import UTC, datetime, timedelta

import typer

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def moment_of(text: str, now: datetime, option: str, also: str = "") -> datetime:
    """An age (`10m`, `2h`) before `now`, a date (its midnight, UTC) or an RFC 3339 time; UTC where no offset is given."""
    age = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if age:
        return now - timedelta(seconds=float(age[1]) * UNITS_S[age[2]])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not an age (10m, 2h), a date, a time (2026-12-01T12:00:00Z){also}", param_hint=option) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
