"""The command line against everything running: what it prints, and how it exits."""

import asyncio
import json
import signal
import time
from decimal import Decimal
from pathlib import Path

import pytest

from bus.connection import Bus
from cli.demo.recorded import TEXT
from cli.main import hoisted
from tests.cli.conftest import Running, headrace


def test_ask_prints_the_answer_and_nothing_else(up: Running) -> None:
    done = headrace("ask", "What is NATS?", "--nats", up.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, TEXT + "\n", "")


@pytest.mark.parametrize("before", [True, False])
def test_global_options_stand_before_or_after_the_command(up: Running, before: bool) -> None:
    options = ("--json", "--nats", up.url, "--tenant=default")
    done = headrace(*options, "ask", "Hi") if before else headrace("ask", "Hi", *options)
    assert json.loads(done.stdout)["cost_usd"] == "0.000366"


def test_a_refused_question_exits_1_and_says_why(up: Running) -> None:
    done = headrace("ask", "Hi", "--model", "priced/none", "--nats", up.url)
    assert done.returncode == 1
    assert "no_candidate (model)" in done.stderr
    assert "Traceback" not in done.stderr


def test_with_json_a_refusal_is_json_too(up: Running) -> None:
    done = headrace("ask", "Hi", "--route", "none", "--json", "--nats", up.url)
    assert (done.returncode, json.loads(done.stdout)["status"]) == (1, "refused")


def test_a_file_is_published_and_resumed(up: Running, tmp_path: Path) -> None:
    requests, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [{"id": f"file-{number}", "messages": [{"role": "user", "content": "Hi"}]} for number in range(20)]
    requests.write_text("\n".join(json.dumps(line) for line in lines[:10]))
    assert headrace("publish", str(requests), "--out", str(out), "--nats", up.url).returncode == 0
    out.write_text(out.read_text() + '{"request_id": "cut off')
    requests.write_text("\n".join(json.dumps(line) for line in lines))
    done = headrace("publish", str(requests), "--out", str(out), "--resume", "--json", "--nats", up.url)
    assert json.loads(done.stdout) == {"requests": 20, "skipped": 10, "statuses": {"succeeded": 20}}
    assert sorted(json.loads(line)["request_id"] for line in out.read_text().splitlines()) == sorted(str(line["id"]) for line in lines)


def test_a_file_with_a_refused_request_exits_1(up: Running, tmp_path: Path) -> None:
    requests = tmp_path / "in.jsonl"
    requests.write_text('{"id": "a b", "messages": [{"role": "user", "content": "Hi"}]}\n{"id": "typo-1", "mesages": []}')
    done = headrace("publish", str(requests), "--nats", up.url)
    assert done.returncode == 1
    assert {json.loads(line)["status"] for line in done.stdout.splitlines()} == {"refused"}


def test_results_trace_and_cost_tell_of_a_request(up: Running, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": "told-1", "messages": [{"role": "user", "content": "Hi"}]}')
    assert headrace("publish", str(tmp_path / "in.jsonl"), "--nats", up.url).returncode == 0
    assert json.loads(headrace("results", "told-1", "--json", "--nats", up.url).stdout)["status"] == "succeeded"
    listed = json.loads(headrace("results", "--since", "10m", "--json", "--nats", up.url).stdout)
    assert "told-1" in [result["request_id"] for result in listed]
    events = json.loads(headrace("trace", "told-1", "--json", "--nats", up.url).stdout)
    assert [event["event"] for event in events] == ["request", "queued", "begun", "attempt", "result"]
    assert "answered by priced/gpt-4o-mini" in headrace("trace", "told-1", "--nats", up.url).stdout
    costs = json.loads(headrace("cost", "--by", "tenant,model,day", "--json", "--nats", up.url).stdout)
    assert costs["rows"][0]["tenant"] == "default"
    assert float(costs["total_usd"]) > 0


def test_bench_measures_a_running_pipeline(up: Running) -> None:
    done = headrace("bench", "--requests", "30", "--concurrency", "5", "--lane", "bulk", "--json", "--nats", up.url)
    found = json.loads(done.stdout)
    assert (done.returncode, found["failures"], found["statuses"]) == (0, 0, {"succeeded": 30})
    assert 0 < found["p50_s"] <= found["p95_s"] <= found["p99_s"] <= found["max_s"] <= found["seconds"]
    assert found["results_per_s"] == pytest.approx(30 / found["seconds"], rel=0.05)
    assert found["cost_known_usd"] == f"{30 * Decimal('0.000366'):f}"
    results = json.loads(headrace("results", "--since", "10m", "--json", "--nats", up.url).stdout)
    assert [result["lane"] for result in results if result["request_id"].startswith(found["id"])] == ["bulk"] * 30


def test_bench_counts_what_fails_and_exits_1(up: Running) -> None:
    done = headrace("bench", "--requests", "3", "--model", "priced/none", "--nats", up.url)
    assert done.returncode == 1
    assert "3 refused" in done.stdout
    assert "3 no_candidate (model)" in done.stdout


def test_analyze_tells_of_the_calls_and_has_nothing_to_complain_of(up: Running) -> None:
    assert headrace("ask", "Hi", "--nats", up.url).returncode == 0
    deadline = time.monotonic() + 30
    while not (found := json.loads(headrace("analyze", "--since", "1h", "--json", "--nats", up.url).stdout))["calls"] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (found["findings"], found["providers"][0]["state"], found["models"][0]["model"]) == ([], "healthy", "gpt-4o-mini")
    assert 0 < found["providers"][0]["p50_s"] <= found["providers"][0]["p99_s"] < 60
    shown = headrace("analyze", "--nats", up.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "priced/gpt-4o-mini" in shown.stdout
    nobody = json.loads(headrace("analyze", "--json", "--tenant", "nobody", "--nats", up.url).stdout)
    assert (nobody["calls"], nobody["providers"]) == (0, [])


@pytest.mark.parametrize("command", [("results", "no-such"), ("trace", "no-such"), ("dead", "show", "no-such")])
def test_what_is_not_there_exits_1_and_says_so(up: Running, command: tuple[str, ...]) -> None:
    done = headrace(*command, "--nats", up.url)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")


def test_a_dead_letter_is_listed_shown_and_sent_again(up: Running) -> None:
    async def publish_garbage() -> None:
        bus = Bus(up.url)
        await bus.connect()
        await bus.publish(bus.subjects.request("default", "chat", "standard"), b"\xff not json")
        await bus.close()

    asyncio.run(publish_garbage())
    letters = _letters(up.url, 1)
    assert (letters[0]["tenant"], letters[0]["service"]) == ("default", "router")
    assert "not json" in headrace("dead", "show", letters[0]["id"], "--nats", up.url).stdout
    assert headrace("dead", "replay", letters[0]["id"], "--model", "priced/gpt-4o-mini", "--nats", up.url).returncode == 1
    assert headrace("dead", "replay", letters[0]["id"], "--nats", up.url).returncode == 0
    assert _letters(up.url, 2)[1]["body_base64"] == letters[0]["body_base64"]


def _letters(url: str, count: int) -> list[dict[str, str]]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        letters: list[dict[str, str]] = json.loads(headrace("dead", "list", "--json", "--nats", url).stdout)
        if len(letters) >= count:
            return letters
    raise AssertionError(f"fewer than {count} dead letters")


def test_a_refused_push_keeps_the_old_configuration(up: Running, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(up.config.read_text().replace("${CLI_TEST_KEY}", "sk-literal"))
    before = headrace("config", "show", "--nats", up.url).stdout
    done = headrace("config", "push", str(bad), "--nats", up.url)
    assert done.returncode == 1
    assert "providers.0.api_key: " in done.stderr
    assert headrace("config", "show", "--nats", up.url).stdout == before
    assert "***" in before


def test_models_and_doctor_answer(up: Running) -> None:
    assert json.loads(headrace("models", "--json", "--nats", up.url).stdout)[0]["input_mtok"] == "0.15"
    done = headrace("doctor", "--json", "--nats", up.url)
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (0, True)


def test_a_cancel_before_its_request_ends_that_id(up: Running, tmp_path: Path) -> None:
    assert headrace("cancel", "never-1", "--reason", "changed my mind", "--nats", up.url).returncode == 0
    (tmp_path / "in.jsonl").write_text('{"id": "never-1", "messages": [{"role": "user", "content": "Hi"}]}')
    done = headrace("publish", str(tmp_path / "in.jsonl"), "--nats", up.url)
    assert (done.returncode, json.loads(done.stdout)["status"]) == (1, "cancelled")


def test_sigterm_ends_everything_within_15_seconds_with_exit_0(up: Running) -> None:
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(15) == 0
    assert headrace("doctor", "--nats", up.url).returncode == 1


def test_without_a_server_every_command_says_what_to_do() -> None:
    done = headrace("ask", "Hi", "--nats", "nats://127.0.0.1:1")
    assert done.returncode == 1
    assert "headrace up" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("nonsense",), ("ask",), ("ask", "Hi", "--lane", "slow"), ("ask", "Hi", "--tenant", "A B"), ("cost", "--by", "x")])
def test_wrong_usage_exits_2(arguments: tuple[str, ...]) -> None:
    assert headrace(*arguments).returncode == 2


def test_config_check_needs_no_server_and_names_each_path(tmp_path: Path) -> None:
    file = tmp_path / "headrace.yaml"
    file.write_text("version: 2\nproviders: [{id: a, type: nonsense, models: [{id: m}]}]")
    done = headrace("config", "check", str(file))
    assert done.returncode == 1
    assert done.stderr.startswith("error: providers.0.type: 'nonsense' is not known")
    file.write_text("version: 2\nproviders: [{id: a, type: openai, api_key: '${NOT_SET}', models: [{id: m}]}]")
    assert headrace("config", "check", str(file)).returncode == 0


def test_what_follows_two_dashes_is_no_option() -> None:
    assert hoisted(["ask", "--json", "--", "--tenant"]) == ["--json", "ask", "--", "--tenant"]
