"""What providers can do: every row has a date and a source, names are found however they are written, and nothing unknown is an error."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from catalog.capabilities import Capabilities, caching_of, capabilities, detect
from catalog.kinds import kinds

# type, marker, batches, requests a batch, bytes a batch
ROWS = [
    ("anthropic", "explicit", True, 100_000, 256_000_000),
    ("vertex_anthropic", "explicit", True, 200_000, 1_000_000_000),
    ("bedrock", "explicit", True, 50_000, 1_000_000_000),
    ("openai", "automatic", True, 50_000, 200_000_000),
    ("azure", "automatic", True, 50_000, 200_000_000),
    ("gemini", "automatic", True, None, 2_000_000_000),
    ("vertex", "automatic", True, 200_000, 1_000_000_000),
    ("mistral", "automatic", True, 100_000, 512_000_000),
    ("groq", "automatic", True, 50_000, 200_000_000),
    ("together", "none", True, 50_000, 100_000_000),
    ("fireworks", "automatic", True, None, None),
    ("xai", "automatic", True, None, None),
    ("deepseek", "automatic", False, None, None),
    ("openrouter", "automatic", False, None, None),
    ("cohere", "none", False, None, None),
    ("ollama", "none", False, None, None),
    ("compatible", "none", False, None, None),
]


@pytest.mark.parametrize(("name", "marker", "batches", "requests", "size"), ROWS)
def test_each_provider_has_its_row(name: str, marker: str, batches: bool, requests: int | None, size: int | None) -> None:
    row = detect(name)
    assert (row.type, row.caching.marker, row.supports_caching) == (name, marker, marker != "none")
    assert (row.supports_batch, row.batch_max_requests, row.batch_max_bytes) == (batches, requests, size)
    assert row.adapter_implemented


@pytest.mark.parametrize("row", [row for row in capabilities().values() if row.supports_batch or row.supports_caching], ids=lambda row: row.type)
def test_what_is_claimed_has_a_date_and_a_source(row: Capabilities) -> None:
    assert row.as_of is not None and row.source and all(source.startswith("https://") for source in row.source)


def test_every_spoken_provider_is_listed_and_a_row_for_none_that_is_not_spoken_says_so() -> None:
    assert kinds().keys() <= capabilities().keys()
    assert all(row.adapter_implemented == (name in kinds()) for name, row in capabilities().items())


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("OpenAI", "openai"),
        ("openAI", "openai"),
        ("azureOpenAI", "azure"),
        ("azure-openai", "azure"),
        ("ANTHROPIC", "anthropic"),
        ("Claude", "anthropic"),
        ("vertexAI", "vertex"),
        ("googleVertex", "vertex"),
        ("awsBedrock", "bedrock"),
        ("x.ai", "xai"),
        ("openAICompatible", "compatible"),
        ("Together AI", "together"),
        ("LM Studio", "lmstudio"),
        ("ollama_native", "ollama_native"),
    ],
)
def test_a_name_is_found_in_any_case_and_by_its_aliases(name: str, found: str) -> None:
    assert detect(name).type == found


@pytest.mark.parametrize("name", ["", "nobody", "   ", "💥", "open"])
def test_an_unknown_name_can_nothing_and_raises_nothing(name: str) -> None:
    row = detect(name)
    assert (row.supports_batch, row.supports_caching, row.adapter_implemented, row.caching.marker) == (False, False, False, "none")


@pytest.mark.parametrize(
    ("name", "base_url", "found"),
    [
        ("openAICompatible", "https://api.groq.com/openai/v1", "groq"),
        ("compatible", "https://API.OPENAI.com/v1/", "openai"),
        ("compatible", "https://acme.openai.azure.com/openai/v1", "azure_v1"),
        ("compatible", "https://acme.openai.azure.com", "azure"),
        ("compatible", "https://generativelanguage.googleapis.com/v1beta/openai", "gemini"),
        ("openai", "https://api.mistral.ai/v1", "mistral"),
        ("openai", "http://127.0.0.1:9/v1", "openai"),
        ("openai", "https://gateway.acme.test/v1", "openai"),
        ("openai_responses", "https://api.openai.com/v1", "openai_responses"),
        ("compatible", "https://api.openai.com.evil.test/v1", "compatible"),
        ("compatible", "not a url", "compatible"),
        ("compatible", None, "compatible"),
    ],
)
def test_a_known_address_says_more_than_the_name(name: str, base_url: str | None, found: str) -> None:
    assert detect(name, base_url).type == found


def test_no_two_types_share_a_name() -> None:
    plain = ["".join(sign for sign in alias.lower() if sign.isalnum()) for row in capabilities().values() for alias in (row.type, *row.aliases)]
    assert len(plain) == len({*plain})


@pytest.mark.parametrize(
    ("model", "minimum", "read"),
    [
        ("claude-opus-5-5", 512, "0.05"),
        ("claude-sonnet-5-5", 512, "0.05"),
        ("claude-fable-5-1", 512, "0.025"),
        ("claude-opus-5", 512, "0.1"),
        ("claude-sonnet-5", 1024, "0.1"),
        ("claude-sonnet-4-5-20250929", 1024, "0.1"),
        ("claude-opus-4-20250514", 1024, "0.1"),
        ("claude-opus-4-7", 2048, "0.1"),
        ("claude-3-5-haiku-20241022", 2048, "0.1"),
        ("claude-opus-4-6", 4096, "0.1"),
        ("claude-haiku-4-5", 4096, "0.1"),
        ("a-model-of-tomorrow", 1024, "0.1"),
    ],
)
def test_the_least_prefix_and_the_price_of_a_read_are_the_models(model: str, minimum: int, read: str) -> None:
    caching = caching_of("anthropic", model)
    assert (caching.minimum_tokens, caching.read_price) == (minimum, Decimal(read))
    assert (caching.max_breakpoints, caching.write_price) == (4, {"5m": Decimal("1.25"), "1h": Decimal(2)})


@pytest.mark.parametrize(
    ("model", "marker", "ttls", "places"),
    [
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "explicit", ("5m", "1h"), {"tools", "system", "messages"}),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", "explicit", ("5m",), {"tools", "system", "messages"}),
        ("anthropic.claude-opus-4-1-20250805-v1:0", "explicit", ("5m",), {"tools", "system", "messages"}),
        ("eu.amazon.nova-pro-v1:0", "explicit", ("5m",), {"system", "messages"}),
    ],
)
def test_bedrocks_models_differ_in_where_and_how_long(model: str, marker: str, ttls: tuple[str, ...], places: set[str]) -> None:
    caching = caching_of("bedrock", model)
    assert (caching.marker, caching.ttls, set(caching.places)) == (marker, ttls, places)


@pytest.mark.parametrize("model", ["meta.llama3-70b-instruct-v1:0", "mistral.mistral-large-2407-v1:0", "anthropic.claude-3-5-sonnet-20240620-v1:0", "arn:x"])
def test_a_model_of_bedrock_that_takes_no_point_gets_none(model: str) -> None:
    assert caching_of("bedrock", model).marker == "none"


def test_a_row_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        detect("openai").supports_batch = False  # type: ignore[misc]
