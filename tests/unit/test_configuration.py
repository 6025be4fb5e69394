"""Rules of reading, checking and overriding a configuration."""

import json
from pathlib import Path
from typing import Any

import pytest

from bus.configuration import BadConfiguration, MissingSecret, expand, load, overridden, redacted
from bus.credentials import doubtful
from bus.overrides import BadOverride
from observability.redaction import without_secrets

GOOD = """
version: 2
providers:
  - id: openai
    type: openai
    base_url: https://api.openai.com/v1
    api_key: ${OPENAI_API_KEY}
    headers: {X-Team: search, Authorization: "Bearer ${PROXY_TOKEN}"}
    models: [{id: gpt-4o-mini, price: {input_mtok: 0.15}}]
routes:
  Default: {candidates: [openai/gpt-4o-mini]}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(BadConfiguration) as caught:
        load(text)
    return caught.value.problems


def test_a_good_file_is_read_with_its_references_kept() -> None:
    config = load(GOOD)
    assert config.providers[0].api_key == "${OPENAI_API_KEY}"
    assert str(config.providers[0].models[0].price.input_mtok) == "0.15"  # type: ignore[union-attr]


def test_json_is_yaml_and_is_read_too() -> None:
    assert load(json.dumps(load(GOOD).model_dump(mode="json", exclude_unset=True))) == load(GOOD)


def test_every_error_names_its_path() -> None:
    text = GOOD.replace("${OPENAI_API_KEY}", "sk-literal").replace("base_url", "base_ulr")
    assert problems(text) == [
        "providers.0.api_key: a literal key may not be stored on the bus: write ${NAME} and set NAME or NAME_FILE where the adapters run",
        "providers.0.base_ulr: unknown field; remove it or mend its spelling",
    ]


def test_a_route_to_an_unlisted_model_names_the_candidate() -> None:
    assert problems(GOOD.replace("[openai/gpt-4o-mini]", "[openai/gpt-5]")) == [
        "routes.Default.candidates.0: 'openai/gpt-5' is not listed under its provider's models"
    ]


def test_a_bad_tenant_name_is_named() -> None:
    assert problems(GOOD + "tenants: {'Big Corp': {}}")[0].startswith("tenants.Big Corp: ")


@pytest.mark.parametrize("value", ["Bearer sk-1234", "sk-1234", "${A}sk-1234"])
@pytest.mark.parametrize("name", ["Authorization", "api-key", "x-api-key", "X-Auth-Token", "Cookie"])
def test_a_literal_credential_in_a_header_is_refused(name: str, value: str) -> None:
    text = f"version: 2\nproviders: [{{id: a, type: openai, headers: {{{name}: '{value}'}}, models: [{{id: m}}]}}]"
    assert problems(text)[0].startswith(f"providers.0.headers.{name}: a literal credential")


@pytest.mark.parametrize("url", ["https://user:pass@host/v1", "https://host/v1?api-key=sk-1"])
def test_a_literal_credential_in_a_url_is_refused(url: str) -> None:
    assert problems(f"version: 2\nproviders: [{{id: a, type: openai, base_url: '{url}', models: [{{id: m}}]}}]")[0].startswith("providers.0.base_url: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: 2\nversion: 2", "line 2, column 1: the key 'version' stands twice"),
        ("version: 2\nroutes: {a: {}, a: {}}", "the key 'a' stands twice"),
        ("version: [2", "not valid YAML, line 1"),
        ("", "empty or not a mapping"),
        ("- 1", "empty or not a mapping"),
        ("version: 1", "version: "),
        ("? [a, b]\n: 1", "is not text"),
    ],
)
def test_broken_documents_are_explained(text: str, words: str) -> None:
    assert words in problems(text)[0]


def test_a_reference_is_expanded_from_the_variable_or_its_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-file\n")
    assert expand("Bearer ${A}/${B}", {"A": "one", "B_FILE": str(tmp_path / "key")}) == "Bearer one/from-file"


@pytest.mark.parametrize("environ", [{}, {"A": ""}, {"A_FILE": "/nowhere/at/all"}])
def test_a_missing_secret_says_what_to_set(environ: dict[str, str]) -> None:
    with pytest.raises(MissingSecret, match="set A, or A_FILE"):
        expand("${A}", environ)


DOCUMENT: dict[str, Any] = {"providers": [{"id": "open-ai", "max_in_flight": 1}], "routes": {"Default": {"candidates": ["a/b"]}}}


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("HEADRACE__PROVIDERS__0__MAX_IN_FLIGHT", "7", "7"),
        ("HEADRACE__PROVIDERS__OPEN_AI__MAX_IN_FLIGHT", "8", "8"),
    ],
)
def test_an_override_reaches_a_list_item_by_index_and_by_id(variable: str, value: str, expected: str) -> None:
    assert overridden(DOCUMENT, {variable: value})["providers"][0]["max_in_flight"] == expected
    assert DOCUMENT["providers"][0]["max_in_flight"] == 1


def test_an_override_may_be_json_and_keeps_the_key_that_stands_there() -> None:
    changed = overridden(DOCUMENT, {"HEADRACE__ROUTES__DEFAULT__CANDIDATES": '["c/d"]', "HEADRACE__TENANTS__ACME": "{}", "HEADRACE_NATS": "x"})
    assert changed["routes"] == {"Default": {"candidates": ["c/d"]}}
    assert changed["tenants"] == {"acme": {}}


@pytest.mark.parametrize("variable", ["HEADRACE__PROVIDERS__3__ID", "HEADRACE__PROVIDERS__OPEN_AI__ID__X", "HEADRACE__", "HEADRACE__ROUTES____X"])
def test_an_override_that_points_nowhere_is_refused_by_name(variable: str) -> None:
    with pytest.raises(BadOverride, match=variable):
        overridden(DOCUMENT, {variable: "1"})


def test_what_people_see_has_no_key_and_no_credential_header() -> None:
    provider = redacted(load(GOOD))["providers"][0]
    assert provider["api_key"] == "***"
    assert provider["headers"] == {"X-Team": "search", "Authorization": "***"}


@pytest.mark.parametrize(
    "fields", ["options: {access_token: ya29-x}", "options: {region: 'AKIAIOSFODNN7EXAMPLE'}", "headers: {X-Team: 'sk-abcdefghijklmnopqrstuvwxyz'}"]
)
def test_a_literal_credential_is_refused_wherever_it_stands(fields: str) -> None:
    found = problems(f"version: 2\nproviders: [{{id: a, type: openai, {fields}, models: [{{id: m}}]}}]")
    assert "a literal credential may not be stored on the bus" in found[0]


def test_options_are_shown_without_credentials() -> None:
    text = "version: 2\nproviders: [{id: a, type: vertex, options: {access_token: '${T}', credentials_file: /x.json, project: p}, models: [{id: m}]}]"
    assert redacted(load(text))["providers"][0]["options"] == {"access_token": "***", "credentials_file": "/x.json", "project": "p"}


@pytest.mark.parametrize("value", ["changeme", "your-api-key", "YOUR_API_KEY_HERE", "<your key>", "sk-xxxxxxxx", "sk-...", "xxxx", "test", "none", "ab1"])
def test_a_value_that_is_no_key_is_told_by_the_name_of_its_variable(value: str, tmp_path: Path) -> None:
    (provider,) = load(GOOD).providers
    (of_variable,) = doubtful(provider, {"OPENAI_API_KEY": value, "PROXY_TOKEN": "8fJ2-real-enough"})
    assert of_variable.startswith("OPENAI_API_KEY ") and f" {value} " not in of_variable
    file = tmp_path / "token"
    file.write_text(f"{value}\n")
    (of_file,) = doubtful(provider, {"PROXY_TOKEN_FILE": str(file)})
    assert of_file.startswith("PROXY_TOKEN ")


@pytest.mark.parametrize("value", ["sk-proj-8fJ2lxQ9", "f3b1c2d4e5", "AIzaSyYourNot", "key-of-production-7"])
def test_a_key_is_not_doubted(value: str) -> None:
    assert list(doubtful(load(GOOD).providers[0], {"OPENAI_API_KEY": value, "PROXY_TOKEN": value})) == []


def test_an_expanded_secret_is_known_to_the_log_from_then_on() -> None:
    assert expand("Bearer ${T}", {"T": "looks like no key at all"}, secret=True) == "Bearer looks like no key at all"
    assert without_secrets("it says 'looks like no key at all'") == "it says '***'"
