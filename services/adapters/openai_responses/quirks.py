"""What a provider of this protocol words in its own way: the `settings` of its entry in `providers.toml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catalog.kinds import ProviderKind
from contracts.base import Closed
from contracts.request import ChatRequestV1

from ..conversion import Conversion
from ..models import ModelTraits, traits_of

STATEFUL = frozenset({"store", "previous_response_id", "conversation", "background"})
"""Options that let the provider keep the conversation; a caller who names one has taken that into his own hands."""


class Quirks(Closed):
    """Defaults are OpenAI's own ways."""

    path: str = "/responses"
    """Below base_url."""
    json_schema: bool = True
    """text.format json_schema is understood; else json_object, with the schema in a system message."""
    audio: bool = False
    """Blocks of type input_audio are understood."""
    block_fields: frozenset[str] = frozenset()
    """What a content block may carry from its part's `provider_data`."""


@dataclass(kw_only=True)
class Wording(Conversion):
    """One request on its way to one model of one provider of this protocol; `own`: what the caller sets by hand for it."""

    quirks: Quirks
    traits: ModelTraits
    own: Mapping[str, Any]

    @property
    def stateless(self) -> bool:
        """The provider keeps nothing: each request carries the whole conversation, encrypted reasoning included."""
        return self.own.get("store") is False or not any(self.own.get(name) is not None for name in STATEFUL)


def wording(request: ChatRequestV1, model: str, kind: ProviderKind, provider_id: str | None) -> Wording:
    own = {**request.provider_options.get(kind.type, {}), **request.provider_options.get(provider_id or "", {})}
    return Wording(kind, quirks=Quirks.model_validate(kind.settings), traits=traits_of("openai_responses", model), own=own)
