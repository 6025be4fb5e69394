"""The local model as a child of `headrace up`: when it is wanted, where it listens, how it is started and ended."""

import asyncio
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import MutableMapping
from pathlib import Path
from urllib.parse import urlsplit

from bus.server import end, free_port
from catalog.kinds import kinds
from contracts.config import ConfigV1
from services.local_model.parts import Missing, check

URL_VARIABLE = "HEADRACE_LOCAL_URL"
READY_TIMEOUT_S = 60.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")

DEFAULT = """\
version: 2
providers:
  - id: local
    type: local
    base_url: ${HEADRACE_LOCAL_URL}
    max_in_flight: 4
    models:
      - {id: smollm2, context_window: 2048}
      - {id: wordllama, dimensions: 256}
routes:
  default: {candidates: [local/smollm2]}
  embedding: {candidates: [local/wordllama]}
"""


class Unstartable(Exception):
    """The local model cannot be started; the text says what to install or configure."""


def default_configuration() -> str:
    """What `up` uses when nothing was configured. Raises Unstartable when the local model's packages are absent."""
    try:
        check()
    except Missing as error:
        raise Unstartable(
            f"nothing is configured, and {error}; or name your provider in a headrace.yaml and run 'headrace up --config headrace.yaml'"
        ) from error
    return DEFAULT


def wanted_port(config: ConfigV1, environ: MutableMapping[str, str]) -> int | None:
    """The port on which a provider of type `local` expects its model, None where none is to be started here.

    Where the configuration leaves the URL to HEADRACE_LOCAL_URL and that is not set, a free port is taken and the variable set.
    """
    for provider in config.providers:
        if provider.type != "local":
            continue
        url = provider.base_url or kinds()["local"].base_url
        if url == f"${{{URL_VARIABLE}}}":
            if not environ.get(URL_VARIABLE):
                environ[URL_VARIABLE] = f"http://127.0.0.1:{free_port()}/v1"
            url = environ[URL_VARIABLE]
        parts = urlsplit(url)
        if parts.hostname in LOOPBACK and parts.port:
            return parts.port
    return None


class LocalModel:
    """`python -m services.local_model` as a child; its output goes to a file, never to a pipe."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the child, unless somebody serves on its port already. Raises Unstartable."""
        if _listens(self.port):
            return
        try:
            check()
        except Missing as error:
            raise Unstartable(f"{error}; or remove the provider of type 'local' from the configuration") from error
        command = [sys.executable, "-m", "services.local_model", "--port", str(self.port)]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True, env=_environment())

    async def ready(self) -> None:
        """Return when it answers. Raises Unstartable with the end of its log."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not _listens(self.port):
            if self.died() or time.monotonic() > deadline:
                raise Unstartable(
                    f"the local model did not start; the end of {self.log}:\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])
                )
            await asyncio.sleep(0.1)

    def died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def stop(self, timeout_s: float = 3.0) -> None:
        if self.process is not None:
            end(self.process, timeout_s)


def _environment() -> dict[str, str]:
    """This process's own, with the packages found wherever it was started."""
    spec = importlib.util.find_spec("services")
    places = list(spec.submodule_search_locations or ()) if spec else []
    root = str(Path(places[0]).parent) if places else ""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
