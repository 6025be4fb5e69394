"""Prometheus's rules: what they ask for is declared, each has a runbook, and each fires when it should and only then."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml
from typer.core import TyperGroup as Group
from typer.main import get_command

from cli.main import app
from tests.deploy.declared import faults
from tests.deploy.panels import titles
from tests.support.processes import ROOT

PROMETHEUS = ROOT / "observability" / "prometheus"
RUNBOOKS = (ROOT / "docs" / "debugging.md").read_text()
FILES = sorted((PROMETHEUS / "rules").glob("*.yaml"))
ALERTS: list[dict[str, Any]] = [rule for file in FILES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
LOGGED = re.compile(r"log\.\w+\(\s*\"(\w+)\"")
PANEL = re.compile(r"\*([A-Z][a-z]+): ([^*]+)\*")

each_alert = pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Skips where there is no promtool."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: Debian's package 'prometheus' has it, and Prometheus's own release")
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, cwd=PROMETHEUS)


def section(anchor: str) -> str:
    """The text under the heading that GitHub gives this anchor; empty where there is none."""
    for heading, text in re.findall(r"^#{2,3} (.+)\n((?:(?!^## ).*\n?)*)", RUNBOOKS, re.MULTILINE):
        if re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") == anchor:
            return str(text)
    return ""


@each_alert
def test_an_alert_asks_only_for_metrics_and_labels_that_are_declared(alert: dict[str, Any]) -> None:
    assert faults(alert["expr"]) == []


@each_alert
def test_an_alert_says_what_is_wrong_how_urgent_it_is_and_where_to_read_on(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert page == "docs/debugging.md"
    assert "    headrace " in section(anchor), f"{anchor!r} is no section of docs/debugging.md with a command to run"


def test_a_runbook_names_only_panels_that_the_dashboards_have() -> None:
    named = PANEL.findall(RUNBOOKS)
    assert len(named) > 15
    assert [(dashboard, panel) for dashboard, panel in named if panel not in titles(dashboard)] == []


def test_a_runbook_for_alerts_is_the_runbook_of_an_alert() -> None:
    headings = re.findall(r"^## (Alert: .+)$", RUNBOOKS, re.MULTILINE)
    used = {alert["annotations"]["runbook_url"].partition("#")[2] for alert in ALERTS}
    assert [heading for heading in headings if re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") not in used] == []


def test_every_alert_has_series_that_fire_it_and_series_that_do_not() -> None:
    tried: dict[str, set[bool]] = {}
    for file in FILES:
        for case in yaml.safe_load((PROMETHEUS / "tests" / file.name).read_text())["tests"]:
            (question,) = case["promql_expr_test"]
            name = re.search(r'alertname="(\w+)"', question["expr"])
            tried.setdefault(name[1] if name else "", set()).add(bool(question["exp_samples"]))
    assert tried == {alert["alert"]: {True, False} for alert in ALERTS}


@pytest.mark.promtool
def test_promtool_accepts_rules_and_configuration() -> None:
    for arguments in (("check", "rules", *(f"rules/{file.name}" for file in FILES)), ("check", "config", "prometheus.yaml")):
        done = promtool(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.promtool
@pytest.mark.parametrize("file", [file.name for file in FILES])
def test_alerts_fire_when_they_should_and_only_then(file: str) -> None:
    done = promtool("test", "rules", f"tests/{file}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_runbook_runs_only_commands_that_there_are() -> None:
    command = get_command(app)
    assert isinstance(command, Group)
    commands = re.findall(r"^    headrace ([a-z]+)(?: ([a-z]+))?", RUNBOOKS.partition("\n# Runbooks\n")[2], re.MULTILINE)
    assert len(commands) > 25
    for first, second in commands:
        assert first in command.commands, first
        inner = command.commands[first]
        assert not isinstance(inner, Group) or not second or second in inner.commands, (first, second)


def test_every_log_event_that_a_runbook_names_is_written_somewhere() -> None:
    written = {word for folder in ("bus", "services", "cli") for path in (ROOT / folder).rglob("*.py") for word in LOGGED.findall(path.read_text())}
    named = set(re.findall(r"log (?:has|says) `(\w+)`", RUNBOOKS))
    assert len(named) > 5
    assert named - written == set()
