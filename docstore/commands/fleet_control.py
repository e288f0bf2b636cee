"""
Who works with a database, and readers that docstore cannot see.
"""

from typing import Any

from docstore.core.fleet_facts import DeclaredReader
from docstore.core.kind import Kind
from docstore.core.write_version import StoredRows, VersionRange
from docstore.fleet.controls import FleetControls
from docstore.fleet.status import FleetStatus, fleet_status
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.row_ends import row_ends


async def fleet(database: AnyDatabase) -> FleetStatus:
    """
    Return every node that is alive, waits, or died within the hour, and the readers declared by hand; reads only.

    Raises:
        RecordFormatError: A record is that of another release of docstore.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    return await fleet_status(database)


async def fleet_declare(
    database: AnyDatabase, service: str, kind: Kind[Any], *, low: int, high: int, writes: int | None = None, by: str
) -> FleetStatus:
    """
    Record that a service reads versions *low* to *high* of a kind by itself; it blocks like a node from then on.

    An earlier declaration of the same service and kind is replaced.

    Args:
        database: A Motor or PyMongo Async database.
        service: What the reader calls itself.
        kind: Whose rows it reads.
        low: The lowest version that it reads.
        high: The highest.
        writes: The lowest version that it stores, if it writes rows too; no version above that can be retired.
        by: Who asks, for the history.

    Raises:
        ReaderRefusedError: It does not read what is stored; carries what it would meet.
        StoreUnavailableError, StoreRejectedError: The database.
    """

    async def rows() -> StoredRows:
        return await row_ends(database, collection=kind.collection, field=kind.version_field, baseline=kind.baseline)

    reader = DeclaredReader(service, kind.name, VersionRange(low, high), by=by, writes=writes)
    await FleetControls(database, by=by).declare(reader, rows)
    return await fleet_status(database)


async def fleet_forget(database: AnyDatabase, service: str, kind: str | None = None, *, by: str) -> FleetStatus:
    """
    Forget what was declared of a service: for one kind, or for all.

    Raises:
        NotInFleetError: Nothing was declared.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    await FleetControls(database, by=by).forget(service, kind)
    return await fleet_status(database)
