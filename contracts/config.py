"""`headrace.yaml`: providers, routes and tenants, as operators write them."""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from .base import Closed, ProviderId, Tenant

REFERENCE = re.compile(r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}\Z")
Capability = Literal["vision", "tools", "json_schema", "streaming", "embeddings", "audio", "documents"]


class PriceV1(Closed):
    """USD a million tokens, decimal strings; what is left out is unknown, not zero."""

    input_mtok: Decimal | None = Field(default=None, ge=0)
    output_mtok: Decimal | None = Field(default=None, ge=0)
    cache_read_mtok: Decimal | None = Field(default=None, ge=0)
    cache_write_mtok: Decimal | None = Field(default=None, ge=0)


def _capabilities(value: object) -> object:
    """A list of what a model can do is short for a map of true."""
    return dict.fromkeys(value, True) if isinstance(value, list) else value


class ModelV1(Closed):
    """A model offered by a provider. What neither catalog nor configuration denies counts as present."""

    id: str = Field(min_length=1)
    tasks: tuple[str, ...] = ()
    context_window: int | None = Field(default=None, ge=1)
    dimensions: int | None = Field(default=None, ge=1)
    capabilities: Annotated[dict[Capability, bool], BeforeValidator(_capabilities, json_schema_input_type=dict[Capability, bool] | list[Capability])] = Field(
        default_factory=dict
    )
    price: PriceV1 | None = None


class LaneWeightsV1(Closed):
    """How a provider's calls in flight are shared between lanes."""

    interactive: int = Field(default=4, ge=1)
    standard: int = Field(default=3, ge=1)
    bulk: int = Field(default=2, ge=1)
    batch: int = Field(default=1, ge=1)


class PromptCacheV1(Closed):
    """Marks the stable beginnings of prompts, so that the provider bills them once; requests go out as they are while it is off."""

    enabled: bool = False
    ttl: Literal["5m", "1h"] = "5m"
    """How long an entry lives after its last use, where the provider lets a request say so."""
    breakpoints: Literal["auto", "manual"] = "auto"
    """`manual`: only where a text says [CACHE_BREAKPOINT]."""
    cache_first_user: bool = False
    """A lone user message is as stable as the system message: the same in many requests."""
    fallback: bool = True
    """A fault of ours in marking sends the plain request; false: the call fails as invalid_request."""


class ProviderV1(Closed):
    """One account at one provider. `type` is a known provider of `catalog/providers.toml`; `openai` stands for any compatible server."""

    id: ProviderId
    type: str
    base_url: str | None = Field(default=None, pattern=r"^(https?://|\$\{)")
    api_key: str | None = None
    max_in_flight: int = Field(default=64, ge=1, le=10000)
    lanes: LaneWeightsV1 = LaneWeightsV1()
    timeout_s: float = Field(default=120, gt=0, le=86400)
    first_token_timeout_s: float | None = Field(default=None, gt=0, le=86400)
    """How long a stream may say nothing before its first bytes; absent: as long as the call may take."""
    idle_timeout_s: float = Field(default=120, gt=0, le=86400)
    """How long a stream may say nothing between two pieces."""
    headers: dict[str, str] = Field(default_factory=dict)
    options: dict[str, str] = Field(default_factory=dict)
    """What the type needs beside: `project`, `location`, `region`, `api_version` …"""
    prompt_cache: PromptCacheV1 = PromptCacheV1()
    models: tuple[ModelV1, ...] = Field(min_length=1)
    price: PriceV1 | None = None
    """The price of every model of this provider that has none of its own."""

    @field_validator("id")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value == "later":
            raise ValueError("the provider id 'later' is reserved for scheduled calls; choose another")
        return value

    @field_validator("api_key")
    @classmethod
    def _reference_only(cls, value: str | None) -> str | None:
        if value is not None and not REFERENCE.match(value):
            raise ValueError("a literal key may not be stored on the bus: write ${NAME} and set NAME or NAME_FILE where the adapters run")
        return value

    @field_validator("models")
    @classmethod
    def _unique_models(cls, value: tuple[ModelV1, ...]) -> tuple[ModelV1, ...]:
        _refuse_twice([model.id for model in value], "model id")
        return value


ModelName = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}/.+$")]


class RouteCandidateV1(Closed):
    model: ModelName
    weight: int = Field(default=1, ge=0)


def _candidate(value: object) -> object:
    """`provider/model` alone is short for a candidate of weight 1."""
    return {"model": value} if isinstance(value, str) else value


class RouteV1(Closed):
    """A named task mapped to candidates, tried in order."""

    strategy: Literal["priority"] = "priority"
    candidates: tuple[Annotated[RouteCandidateV1, BeforeValidator(_candidate, json_schema_input_type=ModelName | RouteCandidateV1)], ...] = Field(min_length=1)


class TenantV1(Closed):
    """Who pays and who may read. Every field is optional."""

    budget_usd_per_day: Decimal | None = Field(default=None, ge=0)
    capture_content: bool = False
    """Prompts and answers of this tenant go into spans, for whoever may read traces."""


class ConfigV1(Closed):
    """The whole configuration, version 2 of the file format. Without `tenants` only the tenant `default` exists."""

    version: Literal[2]
    providers: tuple[ProviderV1, ...] = ()
    routes: dict[str, RouteV1] = Field(default_factory=dict)
    tenants: dict[Tenant, TenantV1] | None = None

    @field_validator("providers")
    @classmethod
    def _unique_providers(cls, value: tuple[ProviderV1, ...]) -> tuple[ProviderV1, ...]:
        _refuse_twice([provider.id for provider in value], "provider id")
        return value

    @field_validator("tenants", mode="before", json_schema_input_type=dict[Tenant, TenantV1 | None] | None)
    @classmethod
    def _empty_tenants(cls, value: Any) -> Any:
        return {name: fields or {} for name, fields in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _routes_name_listed_models(self) -> Self:
        listed = {f"{provider.id}/{model.id}" for provider in self.providers for model in provider.models}
        for name, route in self.routes.items():
            for index, candidate in enumerate(route.candidates):
                if candidate.model not in listed:
                    raise ValueError(f"routes.{name}.candidates.{index}: {candidate.model!r} is not listed under its provider's models")
        return self


def _refuse_twice(ids: list[str], what: str) -> None:
    for index, value in enumerate(ids):
        if value in ids[:index]:
            raise ValueError(f"{what} {value!r} stands twice; ids are unique")
