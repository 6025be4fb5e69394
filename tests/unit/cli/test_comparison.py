"""Old and new answers side by side: what counts as equal, and what the totals say of unknown costs."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from cli.comparison import Pair, Totals
from contracts.content import ChatMessageV1, TextPart, ToolCallPart
from contracts.result import ResultV1

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def result(text: str | None = "Paris", *calls: ToolCallPart, status: Any = "succeeded", cost: str | None = "0.1", known: str = "0.1", **more: Any) -> ResultV1:
    message = None if text is None else ChatMessageV1(role="assistant", parts=(TextPart(content=text), *calls))
    money = {"cost_usd": None if cost is None else Decimal(cost), "cost_known_usd": Decimal(known)}
    return ResultV1(request_id="job", tenant="acme", kind="chat", status=status, message=message, finished_at=NOW, **money, **more)


def pair(old: ResultV1 | None, new: ResultV1, sent: bool = True) -> Pair:
    return Pair("job", "replay-1", sent, old, new)


def test_answers_are_equal_word_for_word() -> None:
    assert pair(result("Paris"), result("Paris")).equal is True
    assert pair(result("Paris"), result("paris")).equal is False


def test_the_same_text_with_another_tool_call_is_not_equal() -> None:
    call, other = (ToolCallPart(id="1", name="look", arguments={"city": city}) for city in ("Paris", "Rome"))
    assert pair(result("", call), result("", call.model_copy(update={"id": "2"}))).equal is True
    assert pair(result("", call), result("", other)).equal is False


def test_vectors_are_compared_as_they_are() -> None:
    assert pair(result(None, embeddings=[[1.0, 2.0]]), result(None, embeddings=[[1.0, 2.0]])).equal is True
    assert pair(result(None, embeddings=[[1.0, 2.0]]), result(None, embeddings=[[1.0, 2.5]])).equal is False


def test_json_is_equal_however_it_is_written_and_whether_or_not_a_schema_checked_it() -> None:
    old, new = result('{"b": 1, "a": [2]}'), result('{"a":[2],"b":1}', parsed={"a": [2], "b": 1})
    assert (pair(old, new).equal, pair(old, new).parsed_equal) == (False, True)
    assert pair(old, result('{"a": [3], "b": 1}')).parsed_equal is False
    assert pair(result("Paris"), new).parsed_equal is None


def test_without_two_answers_nothing_is_compared() -> None:
    for one in (pair(None, result()), pair(result(status="failed"), result()), pair(result(), result(status="expired"))):
        assert (one.equal, one.parsed_equal) == (None, None)


def test_totals_count_each_side_and_an_unknown_cost_makes_only_its_side_unknown() -> None:
    totals = Totals()
    totals.add(pair(result(cost="0.1"), result(cost="0.000001", known="0.000001")))
    totals.add(pair(result(cost=None, known="0.03", status="failed"), result("Rome", cost="0", known="0"), sent=False))
    totals.add(pair(None, result(status="refused", cost="0", known="0")))
    row = totals.row()
    assert row["old"] == {"statuses": {"succeeded": 1, "failed": 1, "none": 1}, "cost_usd": None, "cost_known_usd": "0.13"}
    assert row["new"] == {"statuses": {"succeeded": 2, "refused": 1}, "cost_usd": "0.000001", "cost_known_usd": "0.000001"}
    assert (row["requests"], row["sent"], row["compared"], row["equal"]) == (3, 2, 1, 1)
