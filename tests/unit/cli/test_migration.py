"""From version 1 to version 2: golden files, text that stays as it was, and the way back."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bus.configuration import BadConfiguration, load, parse
from cli.configuring import checked
from cli.main import main
from cli.migrating import drafted
from cli.migration.environment import NothingToMigrate, dimensions_of, from_environment, ollama_url, speaks_of_version_1
from cli.migration.insertion import CannotInsert, completed, inserted
from cli.migration.optimisation import fields_of
from cli.migration.optimisation import prompt_cache as converted
from cli.migration.outcome import SAFE_PROMPT_CACHE, Left
from cli.running import _unconfigured
from cli.session import Failure

GOLDEN = Path(__file__).with_name("golden")
ENVIRONMENT = {"OLLAMA_BASE_URL": "http://gpu:11434/", "CHAT_MODEL": "llama3.1:8b", "EMBEDDING_MODEL": "nomic-embed-text"}
VERSION_2 = """\
# Our providers.
version: 2
providers:
  # the fast one
  - id: own            # in the cellar
    type: vllm
    base_url: "http://10.0.0.5:8000/v1"
    models:            # what it has
      - id: qwen3
        context_window: 32768

  - {id: openai, type: openai, api_key: '${KEY}', models: [{id: gpt-4o-mini}]}  # the dear one
  - id: cached
    type: anthropic
    prompt_cache: {enabled: true}
    models: [{id: claude}]
routes:
  default: {candidates: [own/qwen3]}   # in order
"""


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OLLAMA_URL", "OLLAMA_BASE_URL", "CHAT_MODEL", "SUMMARIZATION_MODEL", "EMBEDDING_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_of_version_1_becomes_the_golden_one() -> None:
    draft = drafted(GOLDEN / "version1.yaml", {})
    assert draft.after == (GOLDEN / "version1.migrated.yaml").read_text()
    assert checked(draft.after).providers[1].prompt_cache.enabled


def test_what_headrace_does_not_have_is_named_with_the_reason() -> None:
    draft = drafted(GOLDEN / "version1.yaml", {})
    assert [one.path for one in draft.left] == [
        "batching_enabled",
        "llm_providers.0.models.1.vision_capabilities",
        "routing.max_cost_per_request",
        "routing.circuit_breaker",
        "server",
    ]
    assert all(one.why for one in draft.left)
    assert draft.to_do == [
        "llm_providers.0.api_key was a literal key: put it into CLOUD_API_KEY (or a file that CLOUD_API_KEY_FILE names) where the adapters run"
    ]


def test_the_variables_of_version_1_become_the_golden_file(folder: Path) -> None:
    draft = drafted(folder / "headrace.yaml", ENVIRONMENT)
    assert draft.after == (GOLDEN / "environment.migrated.yaml").read_text()
    checked(draft.after)


def test_the_same_names_may_stand_in_a_file(folder: Path) -> None:
    (folder / "old.yaml").write_text("ollama_url: http://gpu:11434\nCHAT_MODEL: llama3.1:8b\nembedding_model: nomic-embed-text\nlog_level: debug\n")
    draft = drafted(folder / "old.yaml", {})
    assert parse(draft.after) == parse((GOLDEN / "environment.migrated.yaml").read_text())
    assert draft.left == [Left("log_level", "Headrace has no such setting")]


def test_two_chat_models_are_the_small_and_the_smart_one() -> None:
    found = from_environment({"OLLAMA_URL": "gpu:11434", "SUMMARIZATION_MODEL": "small", "CHAT_MODEL": "smart"}).document
    assert [model["tasks"] for model in found["providers"][0]["models"]] == [["chat_small"], ["chat_smart"]]
    assert {name: route["candidates"] for name, route in found["routes"].items()} == {
        "default": ["ollama_migrated/smart"],
        "small": ["ollama_migrated/small"],
        "smart": ["ollama_migrated/smart"],
    }


@pytest.mark.parametrize(
    ("model", "count"), [("nomic-embed-text", 768), ("text-embedding-3-small", 1536), ("text-embedding-3-large", 3072), ("openai/3-small-x", 1536)]
)
def test_vectors_have_the_dimensions_that_version_1_took_them_to_have(model: str, count: int) -> None:
    assert dimensions_of(model) == count


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("http://h:1", "http://h:1/v1"),
        ("http://h:1/", "http://h:1/v1"),
        ("h:1", "http://h:1/v1"),
        ("https://h/v1/", "https://h/v1"),
        ("http://h/x", "http://h/x"),
    ],
)
def test_an_ollama_url_names_what_stands_before_chat_completions(given: str, wanted: str) -> None:
    assert ollama_url(given) == wanted


@pytest.mark.parametrize("environ", [{}, {"OLLAMA_URL": "http://h"}, {"CHAT_MODEL": "m"}, {"EMBEDDING_MODEL": "m"}, {"OLLAMA_URL": "", "CHAT_MODEL": "m"}])
def test_a_variable_alone_may_be_meant_for_another_program(environ: dict[str, str]) -> None:
    assert not speaks_of_version_1(environ)


def test_up_without_a_configuration_uses_the_variables_in_memory_and_warns(capsys: pytest.CaptureFixture[str]) -> None:
    config = load(_unconfigured(ENVIRONMENT))
    assert config.providers[0].base_url == "http://gpu:11434/v1"
    assert capsys.readouterr().err.startswith("warning: no --config and nothing pushed yet: OLLAMA_BASE_URL, CHAT_MODEL, EMBEDDING_MODEL of version 1 are used")
    assert load(_unconfigured({})).providers[0].id == "local"


def test_without_a_model_there_is_nothing_to_migrate(folder: Path) -> None:
    with pytest.raises(NothingToMigrate, match="set CHAT_MODEL"):
        from_environment({"OLLAMA_URL": "http://h"})
    with pytest.raises(Failure, match="does not exist"):
        drafted(folder / "headrace.yaml", {})


def cache(**fields: Any) -> tuple[dict[str, Any], list[str]]:
    left: list[Left] = []
    found = converted(fields_of(fields), "", left)
    return {name: value for name, value in found.items() if value != SAFE_PROMPT_CACHE[name]}, [one.path for one in left]


@pytest.mark.parametrize(
    ("fields", "changed", "left"),
    [
        ({}, {}, []),
        ({"optimization_enabled": True}, {}, []),
        ({"caching_enabled": True}, {}, []),
        ({"optimizationEnabled": True, "caching_enabled": True}, {"enabled": True}, []),
        ({"cacheTtl": 3600, "fallbackToStandard": False, "cacheBreakpoints": "manual"}, {"ttl": "1h", "fallback": False, "breakpoints": "manual"}, []),
        ({"cache_ttl": 300}, {}, []),
        ({"cache_ttl": 301}, {}, ["cache_ttl"]),
        ({"optimization_enabled": True, "caching_enabled": True, "cache_breakpoints": "none"}, {}, ["cache_breakpoints"]),
        ({"optimization_enabled": True, "caching_enabled": True, "strategy": "batch_only"}, {}, ["strategy"]),
        ({"optimization_enabled": True, "caching_enabled": True, "strategy": "cache_only"}, {"enabled": True}, []),
        ({"strategy": "both", "batchMaxSize": 10000, "batch_timeout": 30}, {}, ["strategy", "batchMaxSize", "batch_timeout"]),
    ],
)
def test_optimisation_fields_become_prompt_cache_or_are_named(fields: dict[str, Any], changed: dict[str, Any], left: list[str]) -> None:
    assert cache(**fields) == (changed, left)


def test_a_file_of_version_2_gets_the_fields_and_keeps_every_character() -> None:
    text = inserted(VERSION_2, parse(VERSION_2))
    assert parse(text) == completed(parse(VERSION_2))
    kept = [line for line in text.splitlines() if "prompt_cache: {enabled: false" not in line and '"prompt_cache"' not in line]
    assert kept == [line for line in VERSION_2.splitlines() if "openai, type" not in line]
    assert 'models: [{id: gpt-4o-mini}], "prompt_cache": {' in text
    assert text.count("  # the dear one") == text.count("# in the cellar") == 1
    assert inserted(text, parse(text)) == text
    checked(text)


@pytest.mark.parametrize(
    "text",
    [
        VERSION_2.replace("\n", "\r\n"),
        "﻿" + VERSION_2,
        json.dumps(parse(VERSION_2)),
        json.dumps(parse(VERSION_2), indent=2),
        "version: 2\nproviders:\n-    &one\n  id: a\n  type: openai\n  models: [{id: m}]",
        "version: 2\nproviders:\n- models:\n  - id: m\n  type: >-\n    openai\n  id: a",
        "version: 2\nproviders: [{id: a, type: openai, models: [{id: m,}],},]\n",
        "version: 2\nproviders: []\n",
        "version: 2\n",
    ],
)
def test_however_a_file_is_written_nothing_but_the_fields_is_added(text: str) -> None:
    document = parse(text)
    after = inserted(text, document)
    assert parse(after) == completed(document)
    assert inserted(after, parse(after)) == after
    left = iter(after)
    assert all(character in left for character in text), "every character is still there, in order"


def test_a_file_that_cannot_be_added_to_is_written_anew(folder: Path) -> None:
    text = "version: 2\nproviders:\n- models:\n  - id: m\n  type: >-\n    openai\n  id: >-\n    a\nroutes: {default: {candidates: [a/m]}}\n"
    with pytest.raises(CannotInsert):
        inserted(text, parse(text))
    (folder / "odd.yaml").write_text(text)
    draft = drafted(folder / "odd.yaml", {})
    assert parse(draft.after) == completed(parse(text))
    assert draft.to_do == ["comments were not kept"]


WORDS = st.text(st.sampled_from("abc-#: '\"é\\{}[],&*!|>%@\n\t"), max_size=12)
PROVIDERS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["openai", "anthropic"]), "models": st.lists(st.builds(lambda name: {"id": f"m{name}"}, WORDS), min_size=1, max_size=3)},
        optional={
            "headers": st.dictionaries(WORDS, WORDS, max_size=3),
            "options": st.dictionaries(WORDS, WORDS, max_size=2),
            "timeout_s": st.integers(1, 600),
            "prompt_cache": st.sampled_from([{}, {"enabled": True}, {"ttl": "1h"}]),
        },
    ),
    max_size=4,
)


@given(PROVIDERS, st.sampled_from([True, False, None]), st.sampled_from([1, 4, 60]), st.randoms(use_true_random=False))
def test_every_key_that_was_there_is_equal_afterwards(providers: list[dict[str, Any]], flow: bool | None, indent: int, random: Any) -> None:
    keyed = [dict(random.sample(items := list({"id": f"p{index}", **one}.items()), len(items))) for index, one in enumerate(providers)]
    document = {"version": 2, "providers": keyed, "routes": {}}
    text = yaml.safe_dump(document, default_flow_style=flow, indent=indent, sort_keys=False, width=random.choice([40, 200]), allow_unicode=True)
    try:
        after = inserted(text, document)
    except CannotInsert:
        assert flow is False, "only a file without any field on one line is written anew"
        after = yaml.safe_dump(completed(document))
    found = parse(after)
    assert len(found["providers"]) == len(keyed)
    for old, new in zip(keyed, found["providers"], strict=True):
        assert {name: new[name] for name in old} == old
        assert set(new) - set(old) <= {"prompt_cache"}
        assert "prompt_cache" in old or new["prompt_cache"] == SAFE_PROMPT_CACHE
    assert {name: value for name, value in found.items() if name != "providers"} == {"version": 2, "routes": {}}
    assert inserted(after, found) == after, "twice is no change"


@pytest.mark.parametrize("text", ["version: 1\nproviders: []\n", "version: '1'\n", "llm_providers: []\n", "OLLAMA_URL: http://h\n"])
@pytest.mark.parametrize("command", [("config", "check"), ("config", "push", "--nats", "nats://127.0.0.1:1")])
def test_version_1_is_refused_with_what_to_run(folder: Path, capsys: pytest.CaptureFixture[str], text: str, command: tuple[str, ...]) -> None:
    (folder / "headrace.yaml").write_text(text)
    assert run(*command) == 1
    assert "run headrace config migrate" in capsys.readouterr().err


def test_a_dry_run_prints_the_difference_hides_keys_and_changes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = (GOLDEN / "version1.yaml").read_bytes()
    (folder / "headrace.yaml").write_bytes(old)
    assert run("config", "migrate", "--dry-run") == 0
    told = capsys.readouterr()
    assert "-    api_key: ***" in told.out
    assert "+  api_key: ${CLOUD_API_KEY}" in told.out
    assert "sk-literal" not in told.out + told.err
    assert "routing.max_cost_per_request: each request says its own limit" in told.err
    assert [(file.name, file.read_bytes()) for file in folder.iterdir()] == [("headrace.yaml", old)]


def test_a_backup_brings_back_the_bytes_and_the_mode(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, old = folder / "headrace.yaml", b"# \xc3\xa9\r\n" + (GOLDEN / "version1.yaml").read_bytes()
    file.write_bytes(old)
    file.chmod(0o600)
    assert run("config", "migrate", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["changed"], told["written"]) == (True, True)
    migrated = file.read_bytes()
    assert migrated == (GOLDEN / "version1.migrated.yaml").read_bytes()
    assert {one.stat().st_mode & 0o777 for one in folder.iterdir()} == {0o600}
    assert run("config", "migrate") == 0
    assert "nothing to do" in capsys.readouterr().out
    assert (file.read_bytes(), len(list(folder.iterdir()))) == (migrated, 2), "twice is no change, and no backup"
    assert run("config", "rollback", told["backup"], "--json") == 0
    undone = json.loads(capsys.readouterr().out)
    assert file.read_bytes() == old
    assert run("config", "rollback", undone["backup"]) == 0
    assert file.read_bytes() == migrated


def test_an_unknown_backup_names_those_there_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "headrace.yaml").write_text(VERSION_2)
    assert run("config", "migrate") == 0
    capsys.readouterr()
    assert run("config", "rollback", "../../etc/passwd") == 1
    assert "has no backup '../../etc/passwd'; there are: 20" in capsys.readouterr().err


def test_what_would_not_be_valid_is_not_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = (GOLDEN / "version1.yaml").read_text().replace("id: cloud", "id: Big Cloud")
    (folder / "headrace.yaml").write_text(old)
    assert run("config", "migrate") == 1
    assert "providers.1.id: " in capsys.readouterr().err
    assert (folder / "headrace.yaml").read_text() == old
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("version: 1\nllm_providers: {}\n", "llm_providers: a list"),
        ("version: 1\nllm_providers: [3]\n", "llm_providers.0: a mapping"),
        ("version: 1\nllm_providers: [{id: a, type: openai}]\n", "llm_providers.0.models: a list"),
        ("version: 1\nllm_providers: [{id: a, type: openai, models: [{model_id: m}]}]\ndefault_models: {chat_fast: n}\n", "default_models.chat_fast: 'n'"),
        ("version: 1\nllm_providers: [{id: a, type: openai, priority: high, models: [{model_id: m}]}]\n", "llm_providers.0.priority: 'high'"),
        ("version: 1\n", "neither llm_providers nor models"),
    ],
)
def test_a_file_that_is_not_of_version_1_either_is_refused_by_its_path(folder: Path, text: str, problem: str) -> None:
    (folder / "headrace.yaml").write_text(text)
    with pytest.raises(BadConfiguration) as caught:
        drafted(folder / "headrace.yaml", {})
    assert caught.value.problems[0].startswith(problem)
