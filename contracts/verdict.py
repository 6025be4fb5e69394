"""The validator's order to ask the model again, with what was wrong."""

from .attempt import AttemptFinishedV1
from .base import Open


class RepairOrderedV1(Open):
    """An answer broke its schema and a repair turn is left. The router asks the same candidate again, under n + 1."""

    attempt: AttemptFinishedV1
    problems: tuple[str, ...]
    """One a line: where, which rule, what stood there. Told to the model."""
