"""Server, local model and all services of `headrace up`, started in order and ended in reverse."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import uvloop

from bus import configuration
from bus.application import Application
from bus.connection import Bus
from bus.probes import probes
from bus.provision import Sizing, provision
from bus.server import EmbeddedServer
from cli.local import LocalModel, default_configuration, wanted_port
from cli.migration.environment import VARIABLES, NothingToMigrate, from_environment, speaks_of_version_1
from cli.services import build_all
from cli.session import CONNECT_TIMEOUT_S, Failure, Session
from contracts.config import ConfigV1

WATCH_S = 0.5
SERVER_STOP_S = 3.0


def run_all(session: Session, text: str | None, data_dir: Path, port: int, sizing: Sizing) -> None:
    """Run until SIGTERM; `text` is pushed first. Raises Failure, Unavailable, Unstartable, RuntimeError."""
    server = None if session.nats else EmbeddedServer(data_dir / "nats", port)
    local: LocalModel | None = None
    try:
        if server is not None:
            server.start()
        url = session.nats or (server.url if server else "")
        preparing = session.unconnected(url, "headrace-up")
        print(f"nats {preparing.url}", flush=True)
        config = uvloop.run(_prepare(preparing, text, sizing))
        model_port = wanted_port(config, os.environ)
        if model_port is not None:
            local = LocalModel(model_port, data_dir / "local-model.log")
            local.start()
            asyncio.run(local.ready())
        uvloop.run(_serve(session.unconnected(url, "headrace"), server, local, data_dir))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if local is not None:
            local.stop()
        if server is not None:
            server.stop(SERVER_STOP_S)


async def _prepare(bus: Bus, text: str | None, sizing: Sizing) -> ConfigV1:
    """Streams and configuration in place, before any service starts."""
    await bus.connect(timeout_s=CONNECT_TIMEOUT_S)
    try:
        await provision(bus, sizing)
        if text is None and await configuration.read(bus) is None:
            text = _unconfigured(os.environ)
        if text is not None:
            await configuration.push(bus, text)
        found = await configuration.read(bus)
    finally:
        await bus.close()
    if found is None:
        raise Failure("the configuration that was pushed cannot be read back; run 'headrace doctor'")
    return found[0]


def _unconfigured(environ: Mapping[str, str]) -> str:
    """Where nobody gave or pushed a configuration: what the variables of version 1 say, else the local model. Raises Unstartable, Failure."""
    if not speaks_of_version_1(environ):
        print("no --config and nothing pushed yet: the local model answers", file=sys.stderr)
        return default_configuration()
    try:
        migrated = from_environment(environ)
    except NothingToMigrate as error:
        raise Failure(str(error)) from error
    names = ", ".join(name for name in VARIABLES if environ.get(name))
    print(f"warning: no --config and nothing pushed yet: {names} of version 1 are used; run 'headrace config migrate' for a file of version 2", file=sys.stderr)
    return json.dumps(migrated.document)


async def _serve(bus: Bus, server: EmbeddedServer | None, local: LocalModel | None, data_dir: Path) -> None:
    application = Application(bus)
    build_all(application, data_dir)
    watching = asyncio.create_task(_watch(application, server, local))
    try:
        async with probes(application):
            await application.run()
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(application: Application, server: EmbeddedServer | None, local: LocalModel | None) -> None:
    """Say when all is ready; start a server again that died; tell of a model that died."""
    await application.ready.wait()
    print(f"ready {application.bus.url}", flush=True)
    told = False
    while True:
        await asyncio.sleep(WATCH_S)
        if server is not None and server.process is not None and server.process.poll() is not None:
            print("the NATS server died; it is started again", file=sys.stderr)
            with suppress(RuntimeError):
                await asyncio.to_thread(server.start)
        if local is not None and not told and local.died():
            told = True
            print(f"the local model died: its requests fail until 'up' is started again; see {local.log}", file=sys.stderr)
