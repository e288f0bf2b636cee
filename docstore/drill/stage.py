"""
Where a drill is held: a private mongod, or a database of its own beside a staging database.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from docstore.core.bson_values import RawDocument, decode
from docstore.core.kind import Kind
from docstore.drill.sample_rows import SampleRows, golden_rows, multiplied, prepared
from docstore.embedded import EmbeddedServer
from docstore.errors import DrillRefusedError
from docstore.fleet.floors import floor_change
from docstore.mongo.client import connected
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase, open_collection
from docstore.mongo.failures import translated
from docstore.mongo.some_rows import is_there, random_rows

#: How the names of a drill's own databases begin.
PREFIX: Final = "docstore_drill_"


@dataclass(slots=True)
class Stage:
    """
    A database for the drill alone.
    """

    uri: str
    database: AnyDatabase
    #: Where rows may be taken from; None on a private mongod.
    staging: AnyDatabase | None = None
    #: Set to leave the database in its place; a private mongod goes in any case.
    keep: bool = False

    @property
    def name(self) -> str:
        """
        The name of the database.
        """
        return str(self.database.name)

    async def load(self, collection: str, rows: list[RawDocument]) -> None:
        """
        Store rows as they are.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database.
        """
        with translated():
            await open_collection(self.database, collection).insert_many(rows)

    async def rows(self, collection: str) -> list[RawDocument]:
        """
        Return all rows as they are stored, with a majority behind them.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database.
        """
        with translated():
            found = open_collection(self.database, collection, majority=True, primary=True).find({})
            return [row async for row in found]

    async def record_floor(self, kind: Kind[Any]) -> None:
        """
        Have what is below the floor of the code be retired here too, where its rows were.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database.
        """
        if kind.floor > kind.baseline:
            records = ControlRecords(self.database)
            view = await records.settled_view()
            change = await floor_change(self.database, view, kind, by="docstore drill", reason="a drill begins")
            await records.change(view, **change)

    async def samples(self, kind: str, collection: str, size: int) -> list[RawDocument]:
        """
        Return rows of the staging database picked at random; none where there is no such database.

        Raises:
            DrillRefusedError: The staging database has no such collection.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        if self.staging is None:
            return []
        # Whoever mistyped a name would take golden rows for rows of the service.
        if not await is_there(self.staging, collection):
            reason = f"the staging database {self.staging.name} has no collection {collection}"
            advice = "--database says which one it is; without --uri golden rows are taken, on a private MongoDB"
            raise DrillRefusedError(kind=kind, reason=reason, advice=advice)
        return [decode(row) for row in await random_rows(self.staging, collection, size)]


async def first_rows(kind: Kind[Any], scene: Stage, number: int) -> tuple[SampleRows, str]:
    """
    Return the rows to begin with, and in words where they come from: the staging database, else golden rows.

    Raises:
        DrillRefusedError: There are none, or the staging database has no such collection.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    staged = await scene.samples(kind.name, kind.collection, number)
    where = "" if scene.staging is None else f"{kind.collection} in the staging database {scene.staging.name}"
    if staged:
        source = f"{len(staged)} rows of {where}"
        sample = await asyncio.to_thread(prepared, kind, staged)
    else:
        golden = golden_rows(kind)
        source = f"copies of {len(golden)} golden rows{where and f': {where} is empty'}"
        sample = await asyncio.to_thread(prepared, kind, multiplied(golden, number))
    if not sample.rows:
        reason = f"none of the {sample.left_out} rows that there are can be read, brought down, and brought up again"
        raise DrillRefusedError(kind=kind.name, reason=reason)
    return sample, source


@asynccontextmanager
async def stage(staging: str | None = None, database: str | None = None) -> AsyncIterator[Stage]:
    """
    Set the stage, and leave nothing of it behind unless `keep` is set.

    Args:
        staging: The URI of a staging deployment, from which rows are taken; a private mongod where it is None.
        database: The staging database; by default the one that the URI names. It is only read.

    Raises:
        EmbeddedServerError: No private mongod can be had.
        InvalidUriError, StoreUnavailableError, StoreRejectedError: The staging deployment.
    """
    name = f"{PREFIX}{uuid.uuid4().hex[:12]}"
    if staging is None:
        async with EmbeddedServer() as server, connected(server.uri, name) as own:
            yield Stage(server.uri, own)
        return
    async with connected(staging, database) as source, connected(staging, name) as own:
        scene = Stage(staging, own, staging=source)
        try:
            yield scene
        finally:
            if not scene.keep:
                with translated():
                    await own.client.drop_database(name)
