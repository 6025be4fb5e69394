"""What models do not take: each family of Claude by all the names that it goes by, at Anthropic, on Bedrock and on Vertex AI."""

import pytest

from services.adapters.models import traits_of


@pytest.mark.parametrize(
    ("family", "sampling", "effort", "json_schema", "system_anywhere", "forced_tools", "max_tokens"),
    [
        ("claude-3-haiku-20240307", True, False, False, False, True, 4096),
        ("claude-3-5-sonnet-20241022", True, False, False, False, True, 8192),
        ("claude-sonnet-4-20250514", True, False, False, False, True, 16384),
        ("claude-opus-4-1-20250805", True, False, False, False, True, 16384),
        ("claude-sonnet-4-5-20250929", True, False, True, False, True, 16384),
        ("claude-opus-4-5-20251101", True, True, True, False, True, 16384),
        ("claude-haiku-4-5-20251001", True, False, True, False, True, 16384),
        ("claude-sonnet-4-6", True, True, True, False, True, 16384),
        ("claude-opus-4-7", False, True, True, False, True, 16384),
        ("claude-opus-4-8", False, True, True, True, True, 16384),
        ("claude-sonnet-5", False, True, True, True, True, 16384),
        ("claude-fable-5", False, True, True, True, True, 16384),
        ("claude-fable-5-1", False, True, True, True, False, 16384),
        ("claude-opus-5-5", False, True, True, True, False, 16384),
        ("claude-sonnet-5-5", False, True, True, True, False, 16384),
    ],
)
def test_a_model_is_known_by_all_its_names(
    family: str, sampling: bool, effort: bool, json_schema: bool, system_anywhere: bool, forced_tools: bool, max_tokens: int
) -> None:
    head, _, date = family.rpartition("-") if family[-8:].isdigit() else (family, "", "")
    at_google = f"{head}@{date}" if date else family
    for protocol, name in (("anthropic", family), ("anthropic", at_google), ("bedrock", f"us.anthropic.{family}-v1:0"), ("bedrock", f"anthropic.{family}")):
        traits = traits_of(protocol, name)
        found = (traits.sampling, traits.effort, traits.json_schema, traits.system_anywhere, traits.forced_tools, traits.max_tokens)
        assert found == (sampling, effort, json_schema, system_anywhere, forced_tools, max_tokens), name


@pytest.mark.parametrize("alias", ["claude-sonnet-4-0", "claude-opus-4-0", "claude-opus-4", "claude-3-5-haiku-latest", "claude-2.1"])
def test_old_models_have_no_structured_output_of_their_own(alias: str) -> None:
    assert not traits_of("anthropic", alias).json_schema and traits_of("anthropic", alias).sampling


def test_a_model_that_no_rule_names_takes_everything() -> None:
    traits = traits_of("anthropic", "some-model-behind-a-proxy")
    assert traits.sampling and traits.json_schema and traits.forced_tools and not traits.system_anywhere
