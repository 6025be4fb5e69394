"""A small file of what is awaited, so that a program that was killed goes on where it was."""

import json
from pathlib import Path
from typing import Any


class Awaited:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.entries: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}

    def note(self, request_id: str, request: dict[str, Any], *, sent: bool) -> None:
        """`sent=False` is written before a request is sent: after a kill nobody knows whether it was, and sending its id again is harmless."""
        self.entries[request_id] = {"request": request, "sent": sent}
        self._write()

    def follow(self, request_id: str, request: dict[str, Any]) -> None:
        """The next turn takes the place of the one that ended, in one step."""
        del self.entries[request_id]
        self.note(request["id"], request, sent=False)

    def forget(self, request_id: str) -> None:
        del self.entries[request_id]
        self._write()

    def _write(self) -> None:
        new = self.file.with_name(self.file.name + ".new")
        new.write_text(json.dumps(self.entries, indent=2))
        new.replace(self.file)
