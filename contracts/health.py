"""How a provider is, and which models it lists: what the adapters learn from its free endpoints."""

from datetime import datetime
from typing import Literal

from .base import Open

HealthState = Literal["healthy", "degraded", "unhealthy"]


class ProviderHealthV1(Open):
    """How a provider was at its last check. Older than `valid_s` it says nothing any more."""

    provider: str
    state: HealthState
    failures: int = 0
    """Checks in a row that failed."""
    failure: str | None = None
    """The failure's type, `auth` where the credential was refused."""
    why: str | None = None
    latency_s: float | None = None
    checked_at: datetime
    valid_s: float


class ModelListingV1(Open):
    """The models that a provider listed. `entry` is a digest of its configuration: a listing of another entry is not used."""

    provider: str
    entry: str
    models: tuple[str, ...]
    listed_at: datetime
