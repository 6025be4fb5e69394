"""The databases that `headrace migrate` brings to this version: those that the environment names."""

import os
from collections.abc import Sequence
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


def migrated(to: Sequence[str]) -> tuple[list[str], list[str]]:
    """The steps taken, and what is left to a service. `to`: only these databases, each as DATABASE=REVISION; empty: all to the newest. Raises Failure."""
    wanted = _wanted(to)
    done: list[str] = []
    left: list[str] = []
    for owned in OWNED if not to else [owned for owned in OWNED if owned.name in wanted]:
        url = os.environ.get(owned.setting)
        if url:
            done += [f"{owned.name}: {step}" for step in _steps(owned, url, wanted.get(owned.name, migrations.HEAD))]
        else:
            left.append(f"{owned.name}: {owned.setting} is not set; its service migrates it when it starts")
    return done, left


def _wanted(to: Sequence[str]) -> dict[str, str]:
    """Revisions by database; all are checked before the first database is touched, since each counts its own. Raises Failure."""
    known = {owned.name: owned for owned in OWNED}
    wanted: dict[str, str] = {}
    for one in to:
        name, _, revision = one.partition("=")
        if name not in known or not revision or name in wanted:
            raise Failure(f"--to {one!r}: write DATABASE=REVISION, each database once, as {' or '.join(f'{each}=0001' for each in known)}")
        if not os.environ.get(known[name].setting):
            raise Failure(f"--to {one!r}: set {known[name].setting} to the URL of the {name}")
        try:
            migrations.check(known[name].schema, revision)
        except migrations.UnusableRevision as error:
            raise Failure(f"--to {one!r}: {error}") from error
        wanted[name] = revision
    return wanted


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
