"""
Where the demo plays: a private mongod, or the mock where none can be had.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mongomock_motor import AsyncMongoMockClient
from pymongo import AsyncMongoClient

from docstore.core.bson_values import RawDocument
from docstore.embedded import EmbeddedServer
from docstore.errors import EmbeddedServerError
from docstore.mongo.driver import AnyDatabase

DATABASE = "demo"


@dataclass(slots=True)
class Stage:
    """
    A database for the demo alone, and how to reach it from elsewhere.
    """

    database: AnyDatabase
    #: What runs there, with its version.
    engine: str
    #: None on the mock, which is reached from this process only.
    server: EmbeddedServer | None
    #: Why there is no server; None if there is one.
    obstacle: EmbeddedServerError | None = None
    #: Set to leave the server running.
    keep: bool = False

    @property
    def uri(self) -> str:
        """
        The URI of the database; empty on the mock.
        """
        return "" if self.server is None else self.server.uri.replace("/?", f"/{DATABASE}?")


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """
    Set the stage, and leave nothing of it behind: no process, no file.

    With `keep` set by the end of the block, and no error, the server goes on running instead.
    """
    server = EmbeddedServer()
    try:
        await server.start()
    except EmbeddedServerError as obstacle:
        mock: AnyDatabase = AsyncMongoMockClient()
        yield Stage(mock[DATABASE], "mongomock-motor, in memory", server=None, obstacle=obstacle)
        return
    try:
        async with AsyncMongoClient[RawDocument](server.uri, appname="docstore demo") as client:
            version = (await client.server_info())["version"]
            scene = Stage(client[DATABASE], f"MongoDB {version}, private", server=server)
            yield scene
        if scene.keep:
            await server.detach()
    finally:
        await server.stop()
