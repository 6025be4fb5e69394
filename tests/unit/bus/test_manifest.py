"""A backup's folder is believed only when every file is as it was written."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bus.backup import FIRST, order
from bus.manifest import SUMS, BadBackup, Manifest, SavedDatabase, SavedStream, begin, opened, seal

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    begin(tmp_path)
    stream = SavedStream(name="CALLS", file="CALLS.snapshot", config={}, state={}, tail="CALLS.tail.jsonl")
    database = SavedDatabase(name="ledger", kept_in="sqlite", file="ledger.sqlite")
    for name in (stream.file, stream.tail, database.file):
        (tmp_path / str(name)).write_bytes(b"content of " + str(name).encode())
    manifest = Manifest(headrace="1", server="2.15.1", root="llm", began_at=NOW, ended_at=NOW, positions=[], streams=[stream], databases=[database])
    seal(tmp_path, manifest)
    return tmp_path


def test_a_whole_backup_opens(folder: Path) -> None:
    heard: list[int] = []
    assert opened(folder, heard.append).streams[0].name == "CALLS"
    assert sum(heard) == sum(path.stat().st_size for path in folder.iterdir() if path.name != SUMS)


@pytest.mark.parametrize("name", ["CALLS.snapshot", "CALLS.tail.jsonl", "ledger.sqlite", "manifest.json"])
def test_a_file_that_is_cut_short_changed_or_missing_is_named(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    for content in (whole[:-1], b"", bytes([whole[0] ^ 1]) + whole[1:]):
        (folder / name).write_bytes(content)
        with pytest.raises(BadBackup, match=f"{name}' is not what was saved"):
            opened(folder)
    (folder / name).unlink()
    with pytest.raises(BadBackup, match=f"{name}' is missing"):
        opened(folder)


def test_a_backup_that_was_not_finished_is_none(folder: Path) -> None:
    (folder / SUMS).unlink()
    with pytest.raises(BadBackup, match="not finished"):
        opened(folder)


def test_sums_that_leave_a_file_out_or_lead_elsewhere_are_refused(folder: Path) -> None:
    lines = (folder / SUMS).read_text().splitlines(keepends=True)
    (folder / SUMS).write_text("".join(line for line in lines if "ledger" not in line))
    with pytest.raises(BadBackup, match=r"does not name 'ledger\.sqlite'"):
        opened(folder)
    (folder / SUMS).write_text("".join([*lines, f"{'0' * 64}  ../elsewhere\n"]))
    with pytest.raises(BadBackup, match="none of ours"):
        opened(folder)


def test_a_folder_with_something_in_it_takes_no_backup(folder: Path) -> None:
    with pytest.raises(BadBackup, match="not empty"):
        begin(folder)


def test_calls_are_saved_first_and_what_all_others_refer_to_last() -> None:
    names = order("llm")
    assert names[0] == FIRST[0] == "CALLS" and names[-1] == "REQUESTS"
    assert [name for name in names if name in ("COSTS", "RESULTS", "ATTEMPTS", "JOURNAL")] == ["COSTS", "RESULTS", "ATTEMPTS", "JOURNAL"]
    assert "DELTAS" not in names and {"KV_CONFIG", "KV_HEALTH", "DEAD_LETTERS"} <= set(names)
    with pytest.raises(BadBackup, match="'DELTAS'"):
        order("llm", ["RESULTS", "DELTAS"])
