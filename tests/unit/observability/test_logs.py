"""What a log line never holds, however it came there."""

import asyncio
import gc
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from contracts.request import ChatRequestV1
from observability.redaction import conceal
from tests.unit.observability.conftest import Lines
from tests.unit.observability.secrets import CREDENTIALS, KEYS, LETTERS, PASSWORD

PROMPT = "the words of a person"
ALL = [(key, key) for key in KEYS] + list(CREDENTIALS)


def raised(error: BaseException) -> None:
    try:
        raise error
    except type(error):
        structlog.get_logger().error("failed", exc_info=True)


@pytest.mark.parametrize(("said", "secret"), ALL)
def test_no_secret_reaches_a_line(written: Lines, said: str, secret: str) -> None:
    log = structlog.get_logger()
    log.info("event", message=said)
    log.info(said)
    log.warning("event", error=repr(OSError(said)), nested={"deep": [said, {"url": said.encode()}]})
    raised(OSError(said))
    logging.getLogger("a.library").error("it says %s", said)
    lines = written()
    assert len(lines) == 5 and secret not in str(lines)


def test_a_field_named_like_a_secret_is_hidden_whatever_it_holds(written: Lines) -> None:
    structlog.get_logger().info("event", password='p"q', headers={"x-api-key": "short"}, input_tokens=7)
    (line,) = written()
    assert (line["password"], line["headers"]["x-api-key"], line["input_tokens"]) == ("***", "***", 7)


def test_a_known_secret_is_hidden_in_every_field(written: Lines) -> None:
    conceal(PASSWORD)
    structlog.get_logger().info("metered", call_id=f"acme/{PASSWORD}/1", model=PASSWORD)
    (line,) = written()
    assert (line["call_id"], line["model"]) == ("acme/***/1", "***")


def test_ids_stay(written: Lines) -> None:
    fields = {"call_id": "acme/550e8400-e29b-41d4-a716-446655440000/1", "trace": "4bf92f3577b34da6a3ce929d0e0e4736", "cost_usd": "0.000081"}
    structlog.get_logger().info("metered", **fields)
    assert fields.items() <= written()[0].items()


def _unreadable() -> None:
    ChatRequestV1.model_validate_json(f'{{"messages": "{PROMPT}"}}')


def _unstorable() -> None:
    with create_engine("sqlite://").connect() as connection:
        connection.execute(text("insert into nowhere values (:words)"), {"words": PROMPT})


def _unknown() -> None:
    raise RuntimeError("while answering") from KeyError(PROMPT)


def _many() -> None:
    raise ExceptionGroup("both", [ValueError(PROMPT), KeyError(PROMPT)])


@pytest.mark.parametrize("fault", [_unreadable, _unstorable, _unknown, _many])
def test_a_traceback_says_where_and_what_but_not_what_a_message_held(written: Lines, fault: Callable[[], None]) -> None:
    try:
        fault()
    except (ValueError, SQLAlchemyError, RuntimeError, ExceptionGroup) as error:
        structlog.get_logger().error("failed", exc_info=error)
    (line,) = written()
    assert PROMPT not in str(line) and f"in {fault.__name__}" in line["exception"] and "withheld" in line["exception"]


def test_the_words_of_machines_and_the_codes_of_databases_stay(written: Lines) -> None:
    raised(ConnectionRefusedError(111, "refused"))
    with pytest.raises(SQLAlchemyError) as caught:
        _unstorable()
    structlog.get_logger().error("failed", exc_info=caught.value)
    machine, database = written()
    assert "ConnectionRefusedError: [Errno 111] refused" in machine["exception"]
    assert "sqlite3.OperationalError: SQLITE_ERROR" in database["exception"]


def test_what_asyncio_logs_of_a_lost_task_has_none_of_its_words(written: Lines) -> None:
    async def lose() -> None:
        async def fail() -> None:
            raise ValueError(PROMPT)

        task = asyncio.create_task(fail())
        await asyncio.wait({task})
        del task
        gc.collect()

    asyncio.run(lose())
    (line,) = written()
    assert line["message"] == "Task exception was never retrieved" and "ValueError" in line["exception"] and PROMPT not in str(line)


def test_a_thread_that_crashes_says_so_in_a_line(written: Lines) -> None:
    def crash(*_: Any) -> None:
        raise ValueError(f"{PROMPT} {LETTERS}")

    thread = threading.Thread(target=crash)
    thread.start()
    thread.join()
    (line,) = written()
    assert line["event"] == "crashed" and "in crash" in line["exception"] and PROMPT not in str(line)
