"""
A network that can fail: bytes are passed on, held back without a word, or connections are cut and refused.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from docstore.embedded import Member


class Proxy:
    """
    Passes connections on to one mongod. Nothing is lost on the way but whole connections, as with TCP itself.
    """

    def __init__(self, member: Member) -> None:
        self._member = member
        self._open = asyncio.Event()
        self._open.set()
        self._refuses = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """
        Listen, and yield the URI under which the mongod is reached through here.
        """
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            port = self._server.sockets[0].getsockname()[1]
            yield f"mongodb://127.0.0.1:{port}/?directConnection=true"
        finally:
            self._server.close()
            self.cut()

    def hold_back(self) -> None:
        """
        Pass nothing on from now on, and say nothing, as a broken line does.
        """
        self._open.clear()

    def cut(self) -> None:
        """
        Cut every connection, and every new one.
        """
        self._refuses = True
        for writer in self._writers:
            writer.close()

    def mend(self) -> None:
        """
        Pass everything on again, also what was held back.
        """
        self._refuses = False
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.close()
            return
        behind, ahead = await asyncio.open_connection("127.0.0.1", self._member.port)
        self._writers |= {writer, ahead}
        async with asyncio.TaskGroup() as passing:
            passing.create_task(self._pass_on(reader, ahead))
            passing.create_task(self._pass_on(behind, writer))
        self._writers -= {writer, ahead}

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
