"""A real `nats-server` with the accounts of deploy/nats/: the services' and one for each tenant."""

import os
import subprocess
from pathlib import Path

from bus.server import end, find_binary, free_port
from tests.support.processes import ROOT, eventually

ACCOUNTS = ROOT / "deploy" / "nats"
PASSWORD = "only-here"


class AccountsServer:
    """Every user, `services` included, has the same password."""

    def __init__(self, folder: Path, tenants: tuple[str, ...]) -> None:
        self.folder, self.port, self.log = folder, free_port(), folder / "nats-server.log"
        self.configuration = folder / "nats.conf"
        template = (ACCOUNTS / "tenant.conf.template").read_text()
        for tenant in tenants:
            (folder / f"tenant-{tenant}.conf").write_text(template.replace("@TENANT@", tenant).replace("@PASSWORD@", "$HEADRACE_SERVICES_PASSWORD"))
        (folder / "tenants.conf").write_text("".join(f'include "tenant-{tenant}.conf"\n' for tenant in tenants))
        (folder / "accounts.conf").write_text((ACCOUNTS / "accounts.conf").read_text())
        self.configuration.write_text(f'host: "127.0.0.1"\nport: {self.port}\njetstream {{ store_dir: "{folder / "store"}" }}\ninclude "accounts.conf"\n')
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, user: str) -> str:
        return f"nats://{user}:{PASSWORD}@127.0.0.1:{self.port}"

    def check(self) -> tuple[int, str]:
        """What the server says of its configuration, without starting."""
        done = subprocess.run(
            [find_binary(), "-t", "-c", self.configuration],
            capture_output=True,
            text=True,
            timeout=20,
            env={**os.environ, "HEADRACE_SERVICES_PASSWORD": PASSWORD},
        )
        return done.returncode, done.stdout + done.stderr

    async def start(self) -> None:
        self._launch()
        await eventually(lambda: "Server is ready" in self.log.read_text(), 20, what="the server with accounts")

    def _launch(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [find_binary(), "-c", self.configuration],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "HEADRACE_SERVICES_PASSWORD": PASSWORD},
            )

    def stop(self) -> None:
        if self.process is not None:
            end(self.process, 5)
