"""A TCP relay between a client and a server that can be cut and mended."""

import asyncio
from contextlib import suppress
from typing import Self


class Wire:
    """Listens on `port` and passes bytes to `target_port`, both on loopback, while it is not cut."""

    def __init__(self, target_port: int) -> None:
        self.target_port, self.port = target_port, 0
        self._passing: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        await self.mend()
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def cut(self) -> None:
        """Break what is connected and refuse what comes."""
        self._server.close()
        await self._server.wait_closed()
        for writer in self._passing.values():
            writer.transport.abort()
        if self._passing:
            await asyncio.wait(self._passing, timeout=5)

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass(reader, writer))
        self._passing[task] = writer
        task.add_done_callback(self._passing.pop)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side ends; then the other is ended, too."""
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
