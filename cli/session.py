"""What every command shares: the global options, the connection, and how expected failures end."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import typer

from bus.access import BadAccess
from bus.awaiting import NoResult
from bus.client import HeadraceClient, NotStored
from bus.configuration import BadConfiguration
from bus.connection import Bus
from bus.errors import TooLarge, Unavailable
from contracts.base import TENANT

DEFAULT_URL = "nats://127.0.0.1:4222"
CONNECT_TIMEOUT_S = 3.0


class Failure(Exception):
    """The command failed in a way that was to be expected; the text says what to do."""


@dataclass(frozen=True)
class Session:
    """The global options of one invocation."""

    nats: str | None = None
    creds: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tenant_given: str | None = None
    json: bool = False

    @property
    def tenant(self) -> str:
        return self.tenant_given or "default"

    @property
    def url(self) -> str:
        return self.nats or os.environ.get("HEADRACE_NATS") or DEFAULT_URL

    def unconnected(self, url: str, name: str) -> Bus:
        """A bus with this session's credentials and certificates. Raises BadAccess, OSError."""
        return Bus(url, name=name, creds=self._file("creds"), tls_ca=self._file("tls_ca"), tls_cert=self._file("tls_cert"), tls_key=self._file("tls_key"))

    def _file(self, option: str) -> str | None:
        given: str | None = getattr(self, option)
        return given or os.environ.get(f"HEADRACE_{option.upper()}")

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        """A connection for as long as the block runs; fails at once where there is no server."""
        bus = self.unconnected(self.url, "headrace-cli")
        await bus.connect(timeout_s=CONNECT_TIMEOUT_S)
        try:
            yield bus
        finally:
            await bus.close()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[HeadraceClient]:
        async with self.bus() as bus:
            yield HeadraceClient(bus, self.tenant)


def session_of(context: typer.Context) -> Session:
    session = context.obj
    if not isinstance(session, Session):
        raise TypeError("the application's callback sets the session")
    if not TENANT.match(session.tenant):
        raise typer.BadParameter(f"{session.tenant!r} is not a tenant: lower-case letters, digits, '_' and '-', at most 32", param_hint="--tenant")
    return session


def run(work: Coroutine[Any, Any, int | None]) -> None:
    """Run a command to its end: exit 0, or 1 with one line on stderr for a failure that was to be expected."""
    try:
        code = asyncio.run(work) or 0
    except BadConfiguration as error:
        fail(*error.problems)
    except (Failure, Unavailable, NoResult, NotStored, TooLarge, BadAccess) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    else:
        raise typer.Exit(code)


def fail(*lines: str) -> None:
    """Say why on stderr and leave with exit code 1."""
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    raise typer.Exit(1)
