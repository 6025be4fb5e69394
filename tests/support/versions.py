"""The next version of Headrace, made from this one: its messages have one optional field more, and its services write it."""

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
    return folder


def _with_field(found: "re.Match[str]") -> str:
    return found[0] if found[0].startswith(KEPT_AS_COLUMNS) else f'{found[0]}    {FIELD}: str | None = "{WRITTEN}"\n'
