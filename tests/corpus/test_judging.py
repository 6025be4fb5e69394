"""The judge itself: it sees every field that differs, and says where there is nothing to judge."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.content import ChatMessageV1, ReasoningPart, TextPart, ToolCallPart
from contracts.delta import ToolCallDeltaV1
from contracts.outcome import UsageV1
from services.adapters.protocol import Answer, DeltaPiece, Failure
from tests.corpus.chat_completions.asked import accepted, differences
from tests.corpus.comparing import outcome_differences
from tests.corpus.recording import Expected, ExpectedFailure, ToolCall

CALL = ToolCallPart(id="c", name="f", arguments={"a": 1})
ANSWER = Answer(
    message=ChatMessageV1(role="assistant", parts=(ReasoningPart(content="hm"), TextPart(content="hi"), CALL)),
    finish_reason="tool_call",
    usage=UsageV1(input_tokens=3, output_tokens=2, cache_read_tokens=1),
    response_id="r",
    response_model="m",
)
EXPECTED = Expected(
    text="hi",
    reasoning="hm",
    tool_calls=(ToolCall("f", {"a": 1}, "c"),),
    finish_reason="tool_call",
    usage={"input_tokens": 3, "output_tokens": 2, "cache_read_tokens": 1, "cache_write_tokens": None},
    response_id="r",
    response_model="m",
    streamed=True,
)
PIECES = [DeltaPiece("reasoning", 0, "hm"), DeltaPiece("text", 1, "h"), DeltaPiece("text", 1, "i")]
PIECES.append(DeltaPiece("tool_call", 2, tool_call=ToolCallDeltaV1(id="c", name="f", arguments_delta='{"a": 1}')))


def fields(expected: Expected | ExpectedFailure, outcome: Answer | Failure = ANSWER, pieces: list[DeltaPiece] = PIECES) -> list[str]:
    return [field for field, _ in outcome_differences(expected, outcome, pieces, None)]


def test_an_answer_as_it_was_expected_has_no_differences() -> None:
    assert fields(EXPECTED) == []


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"text": "ho"}, "text"),
        ({"reasoning": ""}, "reasoning"),
        ({"tool_calls": ()}, "tool calls"),
        ({"tool_calls": (ToolCall("f", {"a": 2}, "c"),)}, "tool_calls.0.arguments"),
        ({"tool_calls": (ToolCall("f", {"a": 1}, "d"),)}, "tool_calls.0.id"),
        ({"server_tools": ("search",)}, "server tools"),
        ({"finish_reason": "stop"}, "finish_reason"),
        ({"usage": {"input_tokens": 4}}, "usage.input_tokens"),
        ({"usage": {"cache_read_tokens": None}}, "usage.cache_read_tokens"),
        ({"usage": {"cache_write_tokens": 0}}, "usage.cache_write_tokens"),
        ({"response_id": "s"}, "response_id"),
        ({"response_model": "n"}, "response_model"),
        ({"extra": {"signature": "s"}}, "extra.signature"),
        ({"embeddings": ((1.0,),)}, "number of vectors"),
    ],
)
def test_each_field_that_differs_is_named(changed: dict[str, Any], field: str) -> None:
    assert field in fields(replace(EXPECTED, **changed))


def test_pieces_that_do_not_make_the_final_text_are_named() -> None:
    assert fields(EXPECTED, pieces=[*PIECES, DeltaPiece("text", 1, "!")]) == ["deltas of part 1"]
    assert fields(EXPECTED, pieces=PIECES[:-1]) == ["deltas of part 2"]


def test_failures_are_compared_by_class_and_advice() -> None:
    limited = Failure("rate_limited", "slow", retry_after_s=7.0)
    assert fields(ExpectedFailure("rate_limited", 7.0), limited) == []
    assert fields(ExpectedFailure("overloaded", 7.0), limited) == ["error class"]
    assert fields(ExpectedFailure("rate_limited"), limited) == ["retry_after_s"]
    assert fields(ExpectedFailure("rate_limited", 30.0), limited) == ["retry_after_s"]
    assert fields(ExpectedFailure("rate_limited", 7.0)) == ["outcome"]
    assert fields(EXPECTED, limited) == ["outcome"]


REQUEST = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "temperature": 0.5, "max_tokens": 5}


@pytest.mark.parametrize(
    "sent",
    [
        {**REQUEST, "messages": [{"role": "user", "content": "hallo"}]},
        {**REQUEST, "messages": [*REQUEST["messages"], {"role": "user", "content": "more"}]},  # type: ignore[misc]
        {**REQUEST, "temperature": 0.6},
        {**REQUEST, "seed": 1},
        {name: value for name, value in REQUEST.items() if name != "max_tokens"},
    ],
)
def test_a_request_that_asks_for_something_else_is_seen(sent: dict[str, Any]) -> None:
    assert differences(REQUEST, sent)
    assert not differences(REQUEST, {**REQUEST, "stream": False, "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]})


@pytest.mark.parametrize(
    "wrong", [{"messages": [{"role": "nobody", "content": "hello"}]}, {"messages": [{"role": "user"}]}, {"tool_choice": "maybe"}, {"temperature": "warm"}]
)
def test_a_request_that_the_sdk_does_not_know_is_refused(wrong: dict[str, Any]) -> None:
    assert accepted(REQUEST) is None
    assert accepted({**REQUEST, **wrong}) is not None


def test_a_folder_without_recordings_is_said_and_is_no_failure(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-m", "tests.corpus.run", "--corpus", str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and "no recordings in" in run.stderr
    assert "no recordings in" in json.loads(run.stdout.splitlines()[-1])["skipped"]
