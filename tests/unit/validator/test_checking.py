"""What an answer must be to be accepted, repaired or refused."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.attempt import AttemptFinishedV1
from services.validator.checking import Fail, InvalidSchema, Repair, Succeed, Validators, check, find_json, judge

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SCHEMA = {
    "type": "object",
    "required": ["capital"],
    "properties": {"capital": {"type": "string"}, "people": {"type": "array", "items": {"type": "integer"}}},
    "additionalProperties": False,
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
    max_leaves=12,
)


def attempt(text: str | None = "{}", *, schema: Any = SCHEMA, finish: str = "stop", repairs: int = 0, max_repairs: int = 2, **more: Any) -> AttemptFinishedV1:
    origin = {
        "request_id": "job-1",
        "tenant": "acme",
        "kind": "chat",
        "route": "default",
        "lane": "standard",
        "metadata": {},
        "request_seq": 1,
        "request_sha256": "0" * 64,
        "requested_at": NOW - timedelta(seconds=2),
        "deadline": NOW + timedelta(minutes=1),
        "output": None if schema is None else {"json_schema": schema, "max_repairs": max_repairs},
    }
    body = {
        "origin": origin,
        "slip": {"candidates": [], "repairs": repairs},
        "summary": {"n": 1, "provider": "p", "model": "m", "outcome": "answered", "finish_reason": finish},
        "message": None if text is None else {"role": "assistant", "content": text},
        "call_seq": 9,
        "occurred_at": NOW,
    }
    return AttemptFinishedV1.model_validate(body | more)


GOOD = '{"capital": "Paris"}'


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  {GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"Sure:\n```\n{GOOD}\n```\nAnything else?",
        f"The answer is {GOOD}, as asked.",
        f"As in [1] and {{this}}: {GOOD}",
        f'First {{"wrong": 1}} then {GOOD}',
        f"```json\n{{}}\n```\n```json\n{GOOD}\n```",
    ],
)
def test_json_is_found_whole_in_fences_and_in_prose(text: str) -> None:
    assert judge(attempt(text), NOW) == Succeed({"capital": "Paris"})


@given(st.text())
@example('"\\ud800"')
@example("[" * 100_000)
@example("9" * 10_000)
@example("1e999")
def test_finding_json_never_raises(text: str) -> None:
    for found in find_json(text):
        json.dumps(found.value, allow_nan=False).encode()


@given(JSON_VALUES, st.sampled_from(["{}", "\n{}\n ", "```json\n{}\n```", "```\n{}\n```"]))
def test_whatever_json_a_model_writes_is_found(value: Any, around: str) -> None:
    assert find_json(around.replace("{}", json.dumps(value), 1))[0].value == value


@pytest.mark.parametrize("text", ["```a\n" + " " * 300_000, "```\n" * 100_000, "[" * 64 + "1," * 500_000, '{"a":' * 200_000, "```" * 300_000])
def test_a_hostile_answer_is_read_in_bounded_time(text: str) -> None:
    start = time.perf_counter()
    find_json(text)
    assert time.perf_counter() - start < 3


def test_a_problem_names_path_rule_what_was_got_and_a_hint() -> None:
    checked = check('{"people": [1, "two"], "mayor": "x"}', SCHEMA)
    assert "$.capital: rule 'required': got nothing: add this property" in checked.problems
    assert "$.mayor: rule 'additionalProperties': got \"x\": leave this property out" in checked.problems
    assert any(problem.startswith("$.people[1]: rule 'type': got \"two\": ") for problem in checked.problems)
    assert checked.parsed is None


def test_an_answer_without_json_says_so() -> None:
    assert check("I cannot say", SCHEMA).problems[0].startswith('$: no JSON found: got "I cannot say"')


def test_problems_are_few_and_short() -> None:
    checked = check(json.dumps({"capital": "x", "people": ["y" * 1000] * 1000}), SCHEMA)
    assert len(checked.problems) == 10
    assert all(len(problem) < 400 for problem in checked.problems)


def test_without_a_schema_anything_is_accepted() -> None:
    for finish in ("stop", "length", "content_filter", "tool_call"):
        assert judge(attempt("prose", schema=None, finish=finish), NOW) == Succeed(None)


def test_a_tool_call_is_accepted_before_the_schema_is_met() -> None:
    assert judge(attempt("", finish="tool_call"), NOW) == Succeed(None)


def test_a_truncated_answer_fails_as_truncated_and_is_not_repaired() -> None:
    judged = judge(attempt('{"capital": "Par', finish="length"), NOW)
    assert isinstance(judged, Fail) and judged.type == "invalid_output" and "truncated" in judged.message


def test_an_answer_that_the_model_refused_fails_as_refused_and_is_not_repaired() -> None:
    judged = judge(attempt("I must not", finish="content_filter"), NOW)
    assert isinstance(judged, Fail) and judged.type == "invalid_output" and "refused" in judged.message


def test_a_broken_answer_is_repaired_while_repairs_are_left() -> None:
    assert isinstance(judge(attempt("{}", repairs=0), NOW), Repair)
    assert isinstance(judge(attempt("{}", repairs=1), NOW), Repair)
    judged = judge(attempt("{}", repairs=2), NOW)
    assert isinstance(judged, Fail) and judged.type == "invalid_output" and "$.capital" in judged.message
    assert isinstance(judge(attempt("{}", max_repairs=0), NOW), Fail)


def test_a_broken_answer_is_not_repaired_after_the_deadline() -> None:
    assert isinstance(judge(attempt("{}"), NOW + timedelta(minutes=1)), Fail)


def test_a_good_answer_succeeds_even_after_the_deadline() -> None:
    assert isinstance(judge(attempt(GOOD), NOW + timedelta(hours=1)), Succeed)


def test_a_late_answer_is_never_repaired() -> None:
    assert isinstance(judge(attempt("{}"), NOW, late=True), Fail)
    assert isinstance(judge(attempt(GOOD), NOW, late=True), Succeed)


def test_an_answer_without_a_message_breaks_its_schema() -> None:
    assert isinstance(judge(attempt(None), NOW), Repair)


@pytest.mark.parametrize("schema", [{"type": "objekt"}, {"$ref": "#/nope"}, {"pattern": "("}])
def test_a_schema_that_cannot_be_used_fails_and_does_not_crash(schema: dict[str, Any]) -> None:
    judged = judge(attempt("{}", schema=schema), NOW)
    assert isinstance(judged, Fail) and judged.type == "invalid_output" and "json_schema" in judged.message


@pytest.mark.parametrize("reference", ["http://127.0.0.1:1/schema", "file:///etc/hostname"])
def test_a_schema_can_make_the_validator_fetch_nothing(reference: str) -> None:
    with pytest.raises(InvalidSchema, match="Retrieval is disabled"):
        check("{}", {"$ref": reference})


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"anyOf": [{"$ref": "#"}]}, {"not": {"$ref": "#"}}, {"$dynamicRef": "#x", "$dynamicAnchor": "x"}])
def test_a_schema_that_refers_to_itself_ends(schema: dict[str, Any]) -> None:
    check('{"a": 1}', schema)


def test_a_schemas_validator_is_compiled_once_and_the_oldest_is_forgotten() -> None:
    validators = Validators(2)
    first = validators.get({"type": "object", "title": "a"})
    assert validators.get({"title": "a", "type": "object"}) is first
    validators.get({"title": "b"})
    validators.get({"title": "c"})
    assert validators.get({"type": "object", "title": "a"}) is not first
