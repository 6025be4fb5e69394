"""Questions that the adapters answer, since the keys are theirs: which models providers list, and whether they can be reached."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bus.application import Application
from contracts.config import ProviderV1

from .inspection import inspect_all
from .listings import Listings
from .providers import Providers


class Question(BaseModel):
    """Which providers; all where none is named."""

    model_config = ConfigDict(extra="forbid")

    providers: tuple[str, ...] = ()


class Questions:
    """Answers are JSON: `rows`, or `error`."""

    def __init__(self, app: Application, providers: Providers) -> None:
        self._app, self._providers = app, providers
        self._listings = Listings(app.bus, providers)

    async def on_models(self, body: bytes) -> bytes:
        """What each provider lists."""

        async def rows(chosen: tuple[ProviderV1, ...]) -> list[Any]:
            found = await asyncio.gather(*(self._listings.of(provider) for provider in chosen))
            return [listed.told(provider.id) for provider, listed in zip(chosen, found, strict=True)]

        return await self._answered(body, rows)

    async def on_providers(self, body: bytes) -> bytes:
        """Whether each provider can be reached, and what is wrong."""
        return await self._answered(body, lambda chosen: inspect_all(self._providers, chosen))

    async def _answered(self, body: bytes, rows: Callable[[tuple[ProviderV1, ...]], Any]) -> bytes:
        config = self._app.config.current
        try:
            question = Question.model_validate_json(body or b"{}")
        except ValidationError as error:
            return _json({"error": error.errors(include_url=False, include_input=False)[0]["msg"]})
        configured = config.providers if config is not None else ()
        unknown = set(question.providers) - {provider.id for provider in configured}
        if unknown:
            return _json({"error": f"not configured: {', '.join(sorted(unknown))}"})
        chosen = tuple(provider for provider in configured if not question.providers or provider.id in question.providers)
        return _json({"rows": await rows(chosen)})


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
