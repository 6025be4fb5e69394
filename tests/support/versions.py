"""The next version of Headrace, made from this one: its messages have one optional field more, its services write it, its ledger has a column more."""

import re
import shutil
import tomllib
from pathlib import Path

from tests.support.processes import ROOT

FIELD, WRITTEN = "added_by_v2", "v2"
OF_PRODUCERS = "note"
"""The optional field that the next version's requests may have."""
SENT = re.compile(r'^class \w+V1\(Open\):\n(?:    """.*?"""\n\n?)?', re.MULTILINE | re.DOTALL)
KEPT_AS_COLUMNS = "class UsageV1("
"""The ledger has a column for each of its fields: one more is a migration, which is tested elsewhere."""
REQUEST = re.compile(r'^class RequestFields\(Closed\):\n(?:    """.*?"""\n\n?)?', re.MULTILINE | re.DOTALL)


LAST_COLUMN = '    Column("repriced_at", String),  # when a re-pricing run corrected the cost\n'
MIGRATION = """'''A column more.'''

import sqlalchemy as sa
from alembic import op

revision = "{number}"
down_revision = "{last}"


def upgrade() -> None:
    op.add_column("calls", sa.Column("{name}", sa.String))


def downgrade() -> None:
    op.drop_column("calls", "{name}")
"""


def next_version(folder: Path) -> Path:
    """A folder with the packages of version 2."""
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    for package in (pattern.removesuffix("*") for pattern in included):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    changed = 0
    for file in (folder / "contracts").glob("*.py"):
        text = file.read_text()
        text, times = SENT.subn(_with_field, text)
        changed += times
        text = REQUEST.sub(lambda found: f"{found[0]}    {OF_PRODUCERS}: str | None = None\n", text)
        file.write_text(text)
    if changed < 15:
        raise AssertionError(f"only {changed} messages were found: is their definition written otherwise now?")
    _add_column(folder / "services" / "meter")
    return folder


def _add_column(meter: Path) -> None:
    """A migration of the next number."""
    versions = meter / "migrations" / "versions"
    last = max(file.name[:4] for file in versions.glob("0*.py"))
    (versions / f"{int(last) + 1:04}_next.py").write_text(MIGRATION.format(number=f"{int(last) + 1:04}", last=last, name=FIELD))
    ledger = meter / "ledger.py"
    text = ledger.read_text()
    if LAST_COLUMN not in text:
        raise AssertionError(f"{LAST_COLUMN!r} is not in the ledger: what is its last column now?")
    ledger.write_text(text.replace(LAST_COLUMN, f'{LAST_COLUMN}    Column("{FIELD}", String),\n'))


def _with_field(found: "re.Match[str]") -> str:
    return found[0] if found[0].startswith(KEPT_AS_COLUMNS) else f'{found[0]}    {FIELD}: str | None = "{WRITTEN}"\n'
