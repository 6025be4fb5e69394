"""The models on offer: what the configuration lists, joined with what is published about them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from catalog.kinds import ProviderKind, kinds
from catalog.prices import FREE, Price, configured
from catalog.published import NOTHING, Published, published
from contracts.config import ConfigV1, ModelV1, PriceV1, ProviderV1

UNKNOWN = ProviderKind(type="", protocol="", base_url="")
"""What is known of a provider type that no entry names: nothing."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One model at one provider."""

    provider: str
    type: str
    model: str
    context_window: int | None
    dimensions: int | None
    capabilities: Mapping[str, bool]
    tasks: tuple[str, ...]
    price: Price | None
    """None: unpriced, which is not free."""
    timeout_s: float

    def can(self, capability: str) -> bool:
        """Whether nobody denied it: an unknown capability counts as present."""
        return self.capabilities.get(capability, True)

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class Catalog:
    """All offers of one configuration, with prices resolved once. `revision` names the configuration in price versions."""

    def __init__(self, config: ConfigV1, types: Mapping[str, ProviderKind] | None = None, *, revision: int | str | None = None) -> None:
        known = kinds() if types is None else types
        version = f"config@{revision if revision is not None else _digest(config)}"
        self._offers = {
            (provider.id, model.id): _offer(provider, model, known.get(provider.type, UNKNOWN), version)
            for provider in config.providers
            for model in provider.models
        }

    def find(self, provider: str, model: str) -> Offer | None:
        """The offer, or None when the provider does not list the model."""
        return self._offers.get((provider, model))

    def offers(self) -> tuple[Offer, ...]:
        """All offers, in the order of the configuration."""
        return tuple(self._offers.values())


def _offer(provider: ProviderV1, model: ModelV1, kind: ProviderKind, version: str) -> Offer:
    known = published(kind.prices, model.id) if kind.prices else NOTHING
    return Offer(
        provider=provider.id,
        type=provider.type,
        model=model.id,
        context_window=model.context_window or known.context_window,
        dimensions=model.dimensions,
        capabilities={str(name): there for name, there in (kind.capabilities | model.capabilities).items()},
        tasks=model.tasks,
        price=_price(model.price or provider.price, model, kind, known, version),
        timeout_s=provider.timeout_s,
    )


def _price(own: PriceV1 | None, model: ModelV1, kind: ProviderKind, known: Published, version: str) -> Price | None:
    """The configuration's price, else free of charge, else the published one, else none."""
    if own is not None:
        return configured(own, version, bills_output=model.dimensions is None)
    return FREE if kind.free else known.price


def _digest(config: ConfigV1) -> str:
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:12]
