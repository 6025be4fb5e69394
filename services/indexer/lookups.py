"""Statements over many keys, a part of them at a time: databases take only so many parameters."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, delete

PART = 500


def rows_in(connection: Connection, wanted: Select[Any], column: Column[Any], values: Sequence[Any]) -> Iterator[Row[Any]]:
    """The rows whose column has one of the values."""
    for start in range(0, len(values), PART):
        yield from connection.execute(wanted.where(column.in_(values[start : start + PART])))


def firsts_in(connection: Connection, wanted: Select[Any], column: Column[Any], values: Sequence[Any]) -> Iterator[Any]:
    """The first column of them."""
    return (row[0] for row in rows_in(connection, wanted, column, values))


def delete_in(connection: Connection, column: Column[Any], values: Sequence[Any]) -> None:
    """Delete them."""
    for start in range(0, len(values), PART):
        connection.execute(delete(column.table).where(column.in_(values[start : start + PART])))
