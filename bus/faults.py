"""Work whose faults are facts to its caller, not exceptions."""

from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def fault_in(work: Callable[[], Value]) -> Value | Exception:
    """The value of some work, or the exception that ended it. Says nothing of it: what the exception holds may be no one's business."""
    try:
        return work()
    except Exception as error:  # the caller counts and tells it
        return error


def place_of(error: BaseException) -> str:
    """File and line where an exception was raised, and its type: none of its words."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace is not None else ""
    return f"{type(error).__name__}{where}"
