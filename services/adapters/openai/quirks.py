"""What a provider of this protocol words in its own way: the `settings` of its entry in `providers.toml`."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from catalog.kinds import ProviderKind
from contracts.base import Closed
from contracts.content import Modality, PartFields
from contracts.outcome import FailureType

from ..conversion import Conversion
from ..models import ModelTraits, traits_of
from ..protocol import Body

MARKS = ("cache_control", "prompt_cache_breakpoint")
"""What a caller may write into a part's `provider_data` to be sent with its content block, where the provider knows it."""


class Quirks(Closed):
    """Defaults are OpenAI's own ways."""

    chat_path: str = "/chat/completions"
    """Below base_url; {model} and {names} of `options` are filled in."""
    embed_path: str = "/embeddings"
    defaults: dict[str, str] = Field(default_factory=dict)
    """`options` that a provider need not name."""
    seed: str = "seed"
    dimensions: str = "dimensions"
    encoding_float: bool = True
    """encoding_format "float" is understood; else it is left out, being the default."""
    json_schema: bool = True
    """response_format json_schema is understood; else json_object, with the schema in a system message."""
    thinking_blocks: bool = False
    """Earlier reasoning goes into content blocks of type thinking."""
    reasoning_details: bool = False
    """Earlier reasoning goes back as the `reasoning_details` it came in."""
    extra_content: bool = False
    """A tool call's `extra_content` (Gemini's thought signatures) goes back with it."""
    block_fields: frozenset[str] = frozenset()
    """Which MARKS a content block may carry."""
    message_fields: frozenset[str] = frozenset()
    """What a message may carry beside its content, from `provider_data.message` of one of its parts."""
    plain_urls: frozenset[Modality] = frozenset()
    """The URL stands as it is, not in an object."""
    error_codes: dict[str, FailureType] = Field(default_factory=dict)
    """What the provider's own codes mean, where the status says less."""
    document_block: Literal["file", "file_url"] = "file"
    file_urls: bool = False
    """A file block's file_data may be a URL."""


@dataclass(kw_only=True)
class Wording(Conversion):
    """One request on its way to one model of one provider of this protocol."""

    quirks: Quirks
    traits: ModelTraits


def wording(kind: ProviderKind, model: str) -> Wording:
    return Wording(kind, quirks=Quirks.model_validate(kind.settings), traits=traits_of("openai", model, kind.type))


def marks(part: PartFields, conversion: Wording) -> Body:
    """The marks of a part that its block may carry."""
    given = {name: value for name, value in (part.provider_data or {}).items() if name in MARKS}
    for name in given.keys() - conversion.quirks.block_fields:
        conversion.dropped(f"provider_data.{name}")
    return {name: value for name, value in given.items() if name in conversion.quirks.block_fields}
