"""The committed schemas and examples are what the models say, and break nobody who speaks the last released ones."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from pydantic import BaseModel, ValidationError

from contracts.attempt import AttemptFinishedV1
from contracts.compatibility import breaking
from contracts.delta import DeltaV1
from contracts.export import EXAMPLES, MESSAGES, SCHEMAS, is_closed, main, outdated, schema_of
from contracts.outcome import AttemptSummaryV1, UsageV1
from contracts.result import ResultV1

ROOT = Path(__file__).parents[3]
CLOSED = {"request.chat", "request.embed", "cancel", "document", "search", "index_question", "config"}


def example(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EXAMPLES / f"{name}.v1.json").read_text(encoding="utf-8"))
    return document


def committed(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SCHEMAS / f"{name}.v1.json").read_text(encoding="utf-8"))
    return document


def test_the_committed_schemas_are_what_the_models_say() -> None:
    assert outdated() == [], "run: make schemas"


def test_check_says_with_its_exit_code_whether_all_is_committed() -> None:
    assert main(["--check"]) == 0
    assert main(["--chek"]) == 2


def test_every_message_has_one_example_and_no_other_is_left() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == {f"{name}.v1.json" for name in MESSAGES}


def test_what_producers_and_operators_send_is_closed() -> None:
    assert {name for name in MESSAGES if is_closed(name)} == CLOSED


@pytest.mark.parametrize("name", MESSAGES)
def test_an_example_parses_through_its_model(name: str) -> None:
    MESSAGES[name].model_validate_json((EXAMPLES / f"{name}.v1.json").read_bytes())


@pytest.mark.parametrize("name", MESSAGES)
def test_an_example_is_valid_under_its_schema(name: str) -> None:
    jsonschema_rs.validator_for(committed(name)).validate(example(name))


def test_the_short_forms_of_a_configuration_are_valid_under_its_schema() -> None:
    document = example("config")
    document["tenants"] = {"acme": None}
    document["providers"][1]["models"][0]["capabilities"] = ["tools"]
    document["routes"]["default"]["candidates"] = ["house/qwen3-8b"]
    jsonschema_rs.validator_for(committed("config")).validate(document)
    MESSAGES["config"].model_validate(document)


@pytest.mark.parametrize("name", [name for name in MESSAGES if name not in CLOSED])
def test_what_a_service_sends_is_valid_under_its_schema(name: str) -> None:
    sent = MESSAGES[name].model_validate(example(name)).model_dump_json()
    jsonschema_rs.validator_for(committed(name)).validate(json.loads(sent))


@pytest.mark.parametrize("name", sorted(CLOSED))
def test_an_unknown_field_is_refused_by_name_in_what_people_send(name: str) -> None:
    document = {**example(name), "surprise": 1}
    assert not jsonschema_rs.validator_for(committed(name)).is_valid(document)
    with pytest.raises(ValidationError) as refused:
        MESSAGES[name].model_validate(document)
    assert refused.value.errors()[0]["loc"] == ("surprise",)


@pytest.mark.parametrize("name", [name for name in MESSAGES if name not in CLOSED])
def test_an_unknown_field_is_ignored_at_any_depth_in_what_services_send(name: str) -> None:
    document = surprised(example(name))
    jsonschema_rs.validator_for(committed(name)).validate(document)
    MESSAGES[name].model_validate_json(json.dumps(document))


def surprised(node: Any) -> Any:
    """With an unknown field in every object that a model describes."""
    free = ("metadata", "headers", "details", "json_schema", "response", "arguments", "parsed", "cache", "standing")
    if isinstance(node, list):
        return [surprised(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {**{key: value if key in free else surprised(value) for key, value in node.items()}, "surprise": {"from": "a newer version"}}


@pytest.mark.parametrize(
    "least",
    [
        ResultV1(request_id="job-1", tenant="acme", kind=None, status="failed", finished_at="2026-11-21T09:30:00Z"),
        AttemptSummaryV1(n=1, provider="house", model="m", outcome="answered"),
        UsageV1(),
        DeltaV1(request_id="job-1", n=1, seq=0),
    ],
    ids=lambda least: type(least).__name__,
)
def test_every_field_is_always_present(least: BaseModel) -> None:
    assert json.loads(least.model_dump_json()).keys() == type(least).model_fields.keys()


@pytest.mark.parametrize("name", ["attempt", "result", "delta"])
def test_the_schema_promises_that_every_field_is_present(name: str) -> None:
    schema = committed(name)
    assert set(schema["required"]) == set(schema["properties"])


def test_money_is_a_plain_decimal_string() -> None:
    summary = AttemptSummaryV1.model_validate({**example("attempt")["summary"], "cost_usd": "2.4E-7"})
    assert json.loads(summary.model_dump_json())["cost_usd"] == "0.00000024"


def test_a_call_id_names_tenant_request_and_number() -> None:
    assert AttemptFinishedV1.model_validate(example("attempt")).call_id == "acme/job-1/2"


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=root, capture_output=True, text=True, check=True).stdout


def released(root: Path) -> tuple[str, dict[str, str]]:
    """The last tag that has schemas, and their texts by file name. Skips where there is none."""
    try:
        tags = git(root, "tag", "--merged", "HEAD", "--sort=-version:refname", "--sort=-creatordate").split()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: there is no released schema to compare with")
    for tag in tags:
        names = git(root, "ls-tree", "--name-only", tag, "contracts/schemas/").split()
        if names:
            return tag, {Path(name).name: git(root, "show", f"{tag}:{name}") for name in names}
    pytest.skip("no git tag has schemas yet: nothing is released that could be broken")


def broken_promises(root: Path) -> list[str]:
    """What the schemas in a checkout break of those of its last release; the first line says what to do instead."""
    tag, texts = released(root)
    lines: list[str] = []
    for file, text in texts.items():
        path = root / "contracts" / "schemas" / file
        if path.exists():
            lines.extend(f"{file} {line}" for line in breaking(json.loads(text), json.loads(path.read_text(encoding="utf-8"))))
        else:
            lines.append(f"{file}: removed")
    advice = f"these changes break what {tag} promised: add an optional field with a default instead, or leave V1 as it is and make a V2 beside it"
    return [advice, *lines] if lines else []


def test_nothing_breaks_who_speaks_the_last_released_schemas() -> None:
    assert (lines := broken_promises(ROOT)) == [], "\n".join(lines)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A repository whose tags v1.0.0 and v1.1.0 have the schemas as they are; v1.0.0 lacked a field that v1.1.0 added."""
    folder = tmp_path / "contracts" / "schemas"
    shutil.copytree(SCHEMAS, folder)
    git(tmp_path, "init", "-q")
    change(tmp_path, "result", lambda schema: schema["properties"].pop("warnings"))
    commit(tmp_path, "v1.0.0")
    shutil.copy(SCHEMAS / "result.v1.json", folder)
    commit(tmp_path, "v1.1.0")
    return tmp_path


def commit(root: Path, tag: str) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", tag)
    git(root, "tag", tag)


def change(root: Path, name: str, edit: Callable[[dict[str, Any]], object]) -> None:
    path = root / "contracts" / "schemas" / f"{name}.v1.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    edit(schema)
    path.write_text(json.dumps(schema), encoding="utf-8")


def test_after_a_release_an_optional_field_may_be_added(release: Path) -> None:
    change(release, "request.chat", lambda schema: schema["properties"].update(tone={"type": "string", "default": "plain"}))
    change(release, "result", lambda schema: (schema["properties"].update(mood={"type": "string", "default": ""}), schema["required"].append("mood")))
    assert broken_promises(release) == []


def test_after_a_release_a_breaking_change_is_named_and_answered_with_what_to_do_instead(release: Path) -> None:
    change(release, "request.chat", lambda schema: schema["properties"].pop("route"))
    change(release, "result", lambda schema: schema["properties"].pop("warnings"))
    (release / "contracts" / "schemas" / "delta.v1.json").unlink()
    advice, *lines = broken_promises(release)
    assert "v1.1.0" in advice
    assert "add an optional field with a default instead, or leave V1 as it is and make a V2" in advice
    assert sorted(lines) == ["delta.v1.json: removed", "request.chat.v1.json $.route: removed", "result.v1.json $.warnings: removed"]


def test_a_tag_without_schemas_is_no_release(release: Path) -> None:
    shutil.rmtree(release / "contracts")
    (release / "README").write_text("empty")
    commit(release, "v2.0.0")
    assert released(release)[0] == "v1.1.0"


def test_a_schema_breaks_nothing_of_itself() -> None:
    assert [line for name in MESSAGES for line in breaking(schema_of(name), schema_of(name))] == []


def test_a_removed_field_breaks() -> None:
    changed = committed("result")
    del changed["properties"]["cost_usd"]
    assert breaking(committed("result"), changed) == ["$.cost_usd: removed"]


def test_a_removed_field_of_a_nested_message_breaks_once() -> None:
    changed = committed("verdict")
    del changed["$defs"]["AttemptSummaryV1"]["properties"]["duration_s"]
    assert breaking(committed("verdict"), changed) == ["$.attempt.slip.attempts[].duration_s: removed"]


def test_a_newly_required_field_breaks_producers() -> None:
    changed = committed("request.chat")
    changed["required"] = [*changed["required"], "route"]
    assert breaking(committed("request.chat"), changed) == ["$.route: newly required"]


@pytest.mark.parametrize(("field", "lines"), [({"type": "string", "default": ""}, []), ({"type": "string"}, ["$.added: newly required"])])
def test_a_new_field_in_what_services_send_needs_a_default(field: dict[str, Any], lines: list[str]) -> None:
    changed = committed("result")
    changed["properties"]["added"] = field
    changed["required"] = [*changed["required"], "added"]
    assert breaking(committed("result"), changed) == lines


def test_a_narrowed_enum_breaks_and_a_widened_one_does_not() -> None:
    changed = committed("result")
    changed["properties"]["status"]["enum"] = ["succeeded", "failed", "refused", "expired", "postponed"]
    assert breaking(committed("result"), changed) == ["$.status: narrowed, 'cancelled' is no longer allowed"]


def test_a_variant_that_may_no_longer_be_sent_breaks() -> None:
    changed = committed("request.chat")
    changed["properties"]["timeout_s"] = {"type": "number"}
    assert breaking(committed("request.chat"), changed) == ["$.timeout_s: narrowed, null is no longer allowed"]


Edit = Callable[[dict[str, Any]], object]
BY_PRODUCERS: dict[str, tuple[Edit, list[str]]] = {
    "an optional field is added": (lambda schema: schema["properties"].update(tone={"type": "string", "default": ""}), []),
    "a limit is lifted": (lambda schema: schema["properties"]["metadata"].pop("maxProperties"), []),
    "a null is allowed": (lambda schema: schema["properties"].update(messages={"anyOf": [schema["properties"]["messages"], {"type": "null"}]}), []),
    "a limit is lowered": (
        lambda schema: schema["properties"]["metadata"].update(maxProperties=8),
        ["$.metadata: narrowed, maxProperties was 16, is 8"],
    ),
    "a pattern is new": (
        lambda schema: schema["$defs"]["ToolV1"]["properties"]["name"].update(pattern="^[a-z]+$"),
        ["$.tools[].name: narrowed, pattern was not given, is ^[a-z]+$"],
    ),
    "another default": (lambda schema: schema["properties"]["stream"].update(default=True), ["$.stream: what is left out meant False, means True"]),
}
BY_SERVICES: dict[str, tuple[Edit, list[str]]] = {
    "an enum value is added": (lambda schema: schema["properties"]["status"]["enum"].append("postponed"), []),
    "another type": (
        lambda schema: schema["properties"]["tenant"].update(type="integer"),
        ["$.tenant: narrowed, type was string, is integer"],
    ),
    "a wider type": (
        lambda schema: schema["$defs"]["AttemptSummaryV1"]["properties"]["n"].update(type="number"),
        ["$.attempts[].n: widened, type was integer, is number"],
    ),
    "a null that was never there": (
        lambda schema: schema["properties"].update(tenant={"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ["$.tenant: widened, null was not expected"],
    ),
    "a field that may be missing": (lambda schema: schema["required"].remove("cost_usd"), ["$.cost_usd: no longer always present"]),
}


@pytest.mark.parametrize("name", BY_PRODUCERS)
def test_a_change_of_what_producers_send(name: str) -> None:
    edit, lines = BY_PRODUCERS[name]
    assert breaking(committed("request.chat"), edited("request.chat", edit)) == lines


@pytest.mark.parametrize("name", BY_SERVICES)
def test_a_change_of_what_services_send(name: str) -> None:
    edit, lines = BY_SERVICES[name]
    assert breaking(committed("result"), edited("result", edit)) == lines


def edited(name: str, edit: Edit) -> dict[str, Any]:
    schema = committed(name)
    edit(schema)
    return schema
