"""`headrace providers` and `headrace models --remote`: what they print, and how they exit."""

import json
from pathlib import Path

import pytest

from catalog.kinds import kinds
from tests.cli.conftest import Running, headrace


def test_every_known_type_is_listed_without_a_server() -> None:
    done = headrace("providers", "list", "--json", "--nats", "nats://127.0.0.1:1")
    rows = {row["type"]: row for row in json.loads(done.stdout)}
    assert rows.keys() == kinds().keys()
    assert (rows["anthropic"]["key"], rows["anthropic"]["caching"], rows["anthropic"]["embeddings"]) == ("x-api-key", "explicit", False)
    assert (rows["openai"]["embeddings"], rows["openai"]["batch"], rows["openai"]["health"]) == (True, True, "/models")
    shown = headrace("providers", "list")
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in kinds())


def test_the_adapters_check_the_configured_providers(up: Running) -> None:
    done = headrace("providers", "check", "--json", "--nats", up.url)
    (row,) = json.loads(done.stdout)
    assert (done.returncode, row["provider"], row["ok"], row["problems"]) == (0, "priced", True, [])
    line = headrace("providers", "check", "priced", "--nats", up.url).stdout
    assert line.startswith("priced (openai): ok ")


def test_a_provider_that_is_not_configured_is_wrong_usage_of_the_question(up: Running) -> None:
    done = headrace("providers", "check", "nobody", "--nats", up.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "not configured: nobody" in done.stderr


def test_a_file_is_checked_from_here_and_faults_exit_1(tmp_path: Path) -> None:
    file = tmp_path / "headrace.yaml"
    file.write_text(
        "version: 2\nproviders:\n"
        "  - {id: gone, type: openai, base_url: 'http://127.0.0.1:9/v1', api_key: '${HOME}', models: [{id: m}]}\n"
        "  - {id: keyless, type: openai, api_key: '${SURELY_NOT_SET}', models: [{id: m}]}\n"
    )
    done = headrace("providers", "check", "--config", str(file))
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert lines[0].startswith("gone (openai): cannot connect")
    assert "set SURELY_NOT_SET" in lines[1]
    assert "Traceback" not in done.stderr


def test_what_providers_list_stands_beside_what_is_configured(up: Running) -> None:
    done = headrace("models", "--remote", "--json", "--nats", up.url)
    rows = {row["model"]: row for row in json.loads(done.stdout)}
    assert (rows["priced/gpt-4o-mini"]["configured"], rows["priced/gpt-4o-mini"]["listed"]) == (True, True)
    found = rows["priced/gpt-4o"]
    assert (found["configured"], found["listed"], found["routes"]) == (False, True, [])
    assert found["context_window"] == 128000, "metadata come from the catalog"
    plain = json.loads(headrace("models", "--json", "--nats", up.url).stdout)
    assert [row["model"] for row in plain] == ["priced/gpt-4o-mini"]


@pytest.mark.parametrize("command", [("models", "--remote"), ("providers", "check")])
def test_without_a_server_it_says_so(command: tuple[str, ...]) -> None:
    done = headrace(*command, "--nats", "nats://127.0.0.1:1")
    assert done.returncode == 1
    assert "no NATS server answers" in done.stderr
