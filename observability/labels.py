"""What labels may say: configured names and closed lists, so that no label grows with requests."""

from contracts.config import ConfigV1
from contracts.request import KINDS, LANES
from observability import metrics

OTHER = "_"
"""Stands for every name that is not configured."""
LANE_TOKEN = {"request": 3, "call": 2, "attempt": 2, "verdict": 1}
"""Where the lane stands in each subject."""


class Known:
    """The names of the configuration that is in force."""

    def __init__(self) -> None:
        self._tenants: frozenset[str] = frozenset()
        self._models: dict[str, frozenset[str]] = {}

    def take(self, config: ConfigV1) -> None:
        """Take a new configuration."""
        self._tenants = frozenset({"default"} if config.tenants is None else config.tenants)
        self._models = {provider.id: frozenset(model.id for model in provider.models) for provider in config.providers}

    def tenant(self, name: str) -> str:
        return name if name in self._tenants else OTHER

    def provider(self, name: str) -> str:
        return name if name in self._models else OTHER

    def model(self, provider: str, name: str) -> str:
        return name if name in self._models.get(provider, ()) else OTHER


known = Known()
"""As this process has it; its application keeps it up to date."""


def kind_label(kind: str | None) -> str:
    return kind if kind in KINDS else OTHER


def lane_label(lane: str | None) -> str:
    return lane if lane in LANES else OTHER


def lane_of(tokens: list[str]) -> str | None:
    """The lane that a subject's tokens name; None where subjects of that kind have none."""
    at = LANE_TOKEN.get(tokens[0])
    if at is None:
        return None
    if len(tokens) <= at:
        return "standard" if tokens[0] == "request" else OTHER
    return lane_label(tokens[at])


def count_attempt(provider: str, model: str, lane: str, outcome: str) -> None:
    """One attempt that was stored."""
    if metrics.recorded():
        metrics.ATTEMPTS.add(1, known.provider(provider), known.model(provider, model), lane_label(lane), outcome)
