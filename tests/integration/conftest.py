"""Coroutine tests, and one stack for each module that asks for it."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Outsider
from tests.support.stack import SERVICES, Stack


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def` tests, each on a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in names}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Server, provider and one process of each service, shared by a module."""
    shared = Stack(tmp_path_factory.mktemp("stack"))
    try:
        asyncio.run(shared.begin())
        yield shared
    finally:
        shared.end()


@asynccontextmanager
async def own_stack(folder: Path, replicas: int = 1, services: tuple[str, ...] = SERVICES, **fields: Any) -> AsyncIterator[tuple[Stack, Outsider]]:
    """A stack for one test that stops or kills its parts."""
    own = Stack(folder, **fields)
    try:
        await own.begin(replicas, services)
        async with Outsider(own.server.url) as outsider:
            yield own, outsider
    finally:
        await asyncio.to_thread(own.end)
