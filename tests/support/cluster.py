"""Three real `nats-server` nodes on loopback that form one JetStream cluster; each can be killed and started again."""

import json
import random
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from bus.server import MAX_PAYLOAD_BYTES, end, find_binary

START_S = 30.0


def quiet_port() -> int:
    """A free port below those that the system gives to outgoing connections: it stays free while its node is dead."""
    while True:
        port = random.SystemRandom().randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class Node:
    """One node. `extra` is configuration that all nodes share: accounts, TLS."""

    def __init__(self, name: str, folder: Path, extra: str, *, jetstream: bool = True) -> None:
        self.name, self.folder, self.extra, self.jetstream = name, folder, extra, jetstream
        self.port, self.monitor_port, self.route_port = quiet_port(), quiet_port(), quiet_port()
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, routes: list[str]) -> None:
        """Start; does not wait."""
        store, file = self.folder / f"{self.name}-store", self.folder / f"{self.name}.conf"
        store.mkdir(parents=True, exist_ok=True)
        storage = f'jetstream {{ store_dir: "{store}" }}' if self.jetstream else ""
        file.write_text(
            f'server_name: {self.name}\nhost: "127.0.0.1"\nport: {self.port}\nhttp: "127.0.0.1:{self.monitor_port}"\n'
            f"max_payload: {MAX_PAYLOAD_BYTES}\nmax_pending: {64 << 20}\n{storage}\n"
            f'cluster {{ name: headrace, host: "127.0.0.1", port: {self.route_port}, routes: {json.dumps(routes)} }}\n{self.extra}\n'
        )
        with self.log.open("ab") as output:
            self.process = subprocess.Popen([find_binary(), "-c", file], stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True)

    def kill(self) -> None:
        """SIGKILL, and reap."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @property
    def healthy(self) -> bool:
        """Whether it says that its streams and consumers are caught up."""
        return self._ask("/healthz").get("status") == "ok"

    def _ask(self, path: str) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor_port}{path}", timeout=2) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except (urllib.error.URLError, OSError, ValueError):
            return {}


class Cluster:
    """Nodes n1, n2, n3. `files` are what a Bus needs beside the URL: creds, tls_ca and so on."""

    def __init__(self, folder: Path, *, extra: str = "", files: dict[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.files = files or {}
        self.nodes = {name: Node(name, folder, extra) for name in ("n1", "n2", "n3")}

    @property
    def url(self) -> str:
        return ",".join(f"nats://127.0.0.1:{node.port}" for node in self.nodes.values())

    def start(self) -> None:
        """Start all nodes and wait until each is healthy. Raises RuntimeError with the end of a log."""
        for name in self.nodes:
            self.start_node(name)
        deadline = time.monotonic() + START_S
        for node in self.nodes.values():
            while not node.healthy:
                if node.process is None or node.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"node {node.name} is not healthy: {node.log.read_text()[-2000:]}")
                time.sleep(0.05)

    def start_node(self, name: str) -> None:
        self.nodes[name].start([f"nats-route://127.0.0.1:{node.route_port}" for node in self.nodes.values()])

    def stop(self) -> None:
        for node in self.nodes.values():
            if node.process is not None:
                end(node.process, 8.0)
