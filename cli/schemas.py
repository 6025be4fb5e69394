"""The databases that `headrace migrate` brings to this version: those that the environment names."""

import os
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cli.session import Failure
from services.indexer import index
from services.meter import ledger
from storage import migrations
from storage.database import open_database


@dataclass(frozen=True)
class Owned:
    """A database by its name, the setting with its URL, and its numbered migrations."""

    name: str
    setting: str
    schema: migrations.Schema


OWNED = (Owned("ledger", ledger.SETTING, ledger.SCHEMA), Owned("index", index.SETTING, index.SCHEMA))


def migrated(to: str | None) -> tuple[list[str], list[str]]:
    """The steps taken, and what is left to a service. Raises Failure."""
    done: list[str] = []
    left: list[str] = []
    for owned in OWNED:
        url = os.environ.get(owned.setting)
        if url:
            done += [f"{owned.name}: {step}" for step in _steps(owned, url, to or migrations.HEAD)]
        else:
            left.append(f"{owned.name}: {owned.setting} is not set; its service migrates it when it starts")
    return done, left


def _steps(owned: Owned, url: str, to: str) -> list[str]:
    try:
        engine = open_database(url, owned.name, owned.setting)
    except ValueError as error:
        raise Failure(str(error)) from error
    why = f"the {owned.name} cannot be migrated, nothing was changed in it"
    try:
        return migrations.migrate(engine, owned.schema, to)
    except DBAPIError as error:
        raise Failure(f"{why}: {error.orig}") from error
    except (SQLAlchemyError, ValueError) as error:
        raise Failure(f"{why}: {error}") from error
    finally:
        engine.dispose()
