"""`headrace config migrate` and `rollback`: from version 1 to version 2, optimisation fields added, and back."""

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from bus.configuration import BadConfiguration, is_version_1, parse
from cli.configuring import checked, text_of_file
from cli.migration import backups
from cli.migration.environment import NothingToMigrate, from_environment
from cli.migration.insertion import CannotInsert, completed, inserted
from cli.migration.outcome import Left, literal_secrets
from cli.migration.version1 import from_version_1
from cli.session import Failure, fail, session_of
from cli.show import as_json, notes

HEAD = "# Written by 'headrace config migrate' from {source}.\n"
HIDDEN = "***"


@dataclass(frozen=True)
class Draft:
    """A file as it will be. `before` is None for one that does not exist yet."""

    file: Path
    before: str | None
    after: str
    left: list[Left] = field(default_factory=list)
    to_do: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return self.before != self.after

    def diff(self) -> str:
        """Between the two, as `diff -u` writes it, secrets hidden."""
        old = (self.before or "").splitlines(keepends=True)
        lines = difflib.unified_diff(old, self.after.splitlines(keepends=True), str(self.file), f"{self.file} (migrated)")
        text = "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
        for secret in sorted(literal_secrets(parse(self.before)) if self.before else [], key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text


def register(app: typer.Typer) -> None:
    app.command("migrate")(migrate)
    app.command("rollback")(rollback)


def migrate(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The configuration; where it does not exist, the variables of version 1 are read.", dir_okay=False)] = Path(
        "headrace.yaml"
    ),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would change, and change nothing.")] = False,
) -> None:
    """Bring a file to version 2 with its optimisation fields; what is there already stays. A copy is kept beside it."""
    session = session_of(context)
    try:
        draft = drafted(file.resolve(), os.environ)
        checked(draft.after)
        backup = None if dry_run or not draft.changed else _written(draft)
    except BadConfiguration as error:
        fail(*error.problems)
    except (Failure, OSError) as error:
        fail(str(error))
    if session.json:
        facts = {"file": str(file), "changed": draft.changed, "written": draft.changed and not dry_run, "backup": backup, "diff": draft.diff()}
        as_json({**facts, "not_carried_over": [asdict(one) for one in draft.left], "to_do": draft.to_do})
    else:
        _tell(draft, dry_run, backup)


def rollback(
    context: typer.Context,
    backup_id: Annotated[str, typer.Argument(metavar="ID", help="The backup, as 'migrate' named it.")],
    file: Annotated[Path, typer.Argument(help="The configuration.", dir_okay=False)] = Path("headrace.yaml"),
) -> None:
    """Bring a file back to the bytes of a backup; what it holds now is kept as another."""
    session = session_of(context)
    try:
        before = backups.restore(file.resolve(), backup_id, datetime.now(UTC))
    except (backups.NoBackup, OSError) as error:
        fail(str(error))
    if session.json:
        as_json({"file": str(file), "restored": backup_id, "backup": before})
    else:
        print(f"{file} is as it was at {backup_id}" + (f"; what it held is in backup {before}" if before else ""))


def drafted(file: Path, environ: Mapping[str, str]) -> Draft:
    """What a file is to become. Raises BadConfiguration, Failure, OSError."""
    if not file.exists():
        return _from_variables(file, environ)
    before = text_of_file(file)
    document = parse(before)
    if is_version_1(document):
        migrated = from_version_1(document)
        return Draft(file, before, HEAD.format(source="version 1") + dumped(migrated.document), migrated.left, migrated.to_do)
    checked(before)
    try:
        return Draft(file, before, inserted(before, document))
    except CannotInsert:
        return Draft(file, before, HEAD.format(source="a file that could not be added to") + dumped(completed(document)), to_do=["comments were not kept"])


def _from_variables(file: Path, environ: Mapping[str, str]) -> Draft:
    try:
        migrated = from_environment(environ)
    except NothingToMigrate as error:
        raise Failure(f"{file} does not exist, and the environment makes none: {error}") from error
    return Draft(file, None, HEAD.format(source="environment variables of version 1") + dumped(migrated.document))


def dumped(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=160)


class _Plain(yaml.SafeDumper):
    """No anchors: a list that stands twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _written(draft: Draft) -> str | None:
    backup = None if draft.before is None else backups.keep(draft.file, datetime.now(UTC))
    backups.write(draft.file, draft.after.encode(), draft.file)
    return backup


def _tell(draft: Draft, dry_run: bool, backup: str | None) -> None:
    if not draft.changed:
        print(f"{draft.file} is version 2 and has its optimisation fields: nothing to do")
        return
    if dry_run:
        print(draft.diff(), end="")
    else:
        undo = f"; undo: headrace config rollback {backup} {draft.file}" if backup else ""
        print(f"{draft.file} is version 2 now{undo}")
    _remark("not carried over:", (f"{one.path}: {one.why}" for one in draft.left))
    _remark("to do:", draft.to_do)


def _remark(title: str, lines: Iterable[str]) -> None:
    found = list(lines)
    if found:
        notes().print("\n".join([title, *(f"  {line}" for line in found)]), markup=False, highlight=False, soft_wrap=True)
