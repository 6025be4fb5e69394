"""The step itself: on for providers that are configured so, by the way of their protocol, and never the reason why a request is not sent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from bus.faults import fault_in, place_of
from catalog.capabilities import Caching, caching_of, detect
from contracts.config import PromptCacheV1, ProviderV1
from contracts.outcome import WarningV1
from contracts.request import ChatRequestV1, EmbedRequestV1
from observability import metrics

from ..conversion import Unconvertible
from ..protocol import Body, Exchange, Failure, WireProtocol
from . import converse, keys, messages
from .manual import without_marks

log = structlog.get_logger()

STAGES = ("manual", "conversion", "placing")


@dataclass(frozen=True)
class Style:
    """How a protocol's requests are marked. Neither changes what it is given."""

    mark: Callable[[Caching], Mapping[str, Any] | None]
    """What `provider_data` of a part holds that is marked by hand; None: the provider takes no such mark."""
    marked: Callable[[Body, str, Caching, PromptCacheV1], Body]
    """The body as it is to be sent."""


PLAIN = Style(lambda caching: None, lambda body, model, caching, wanted: body)
"""Nothing to say to the provider: manual marks are taken out of the texts."""
KEYED = Style(keys.mark, keys.keyed)
STYLES: Mapping[str, Style] = {
    "anthropic": Style(messages.mark, messages.marked),
    "bedrock": Style(converse.mark, converse.marked),
    "openai": KEYED,
    "openai_responses": KEYED,
}
"""By protocol."""


def cached(wire: WireProtocol, protocol: str, provider: ProviderV1, base_url: str) -> WireProtocol:
    """The wire protocol as it is, or with this step in it."""
    if not provider.prompt_cache.enabled:
        return wire
    for stage in STAGES:
        metrics.PROMPT_CACHE_FALLBACKS.add(0, stage)  # a first one is seen as a rise only where there was a zero
    return Cached(wire, STYLES.get(protocol, PLAIN), provider.prompt_cache, detect(provider.type, base_url).type, provider.id)


@dataclass(frozen=True)
class Cached:
    """A wire protocol whose chat requests are marked. A fault in that sends the plain request, tells and counts it."""

    wire: WireProtocol
    style: Style
    wanted: PromptCacheV1
    type_name: str
    provider_id: str

    def chat(self, request: ChatRequestV1, model: str) -> Exchange:
        stage = ["manual"]

        def marked() -> Exchange:
            caching = caching_of(self.type_name, model)
            prepared = without_marks(request, self.style.mark(caching))
            stage[0] = "conversion"
            exchange = self.wire.chat(prepared, model)
            stage[0] = "placing"
            return replace(exchange, body=self.style.marked(exchange.body, model, caching, self.wanted))

        outcome = fault_in(marked)
        return self._plain(request, model, stage[0], outcome) if isinstance(outcome, Exception) else outcome

    def _plain(self, request: ChatRequestV1, model: str, stage: str, fault: Exception) -> Exchange:
        """Raises Unconvertible where the plain request cannot be said either: then it was no fault of this step."""
        exchange = self.wire.chat(request, model)
        where = place_of(fault)
        metrics.PROMPT_CACHE_FALLBACKS.add(1, stage)
        log.error("cache_optimizer_failed", provider=self.provider_id, model=model, stage=stage, fault=where)
        if not self.wanted.fallback:
            raise Unconvertible(
                f"prompt_cache: marking failed in {stage} ({where}); set 'prompt_cache.fallback' of provider {self.provider_id!r} to true to send it unmarked"
            )
        warning = WarningV1(type="cache_optimizer_failed", message=f"the request was sent without cache markers: {stage} failed ({where})")
        return replace(exchange, warnings=(*exchange.warnings, warning))

    def embed(self, request: EmbedRequestV1, model: str) -> Exchange:
        return self.wire.embed(request, model)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
        return self.wire.failure(status, headers, body, now)
