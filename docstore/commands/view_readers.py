"""
Which versions of a kind somebody is known to read, so that there is to be a view of each.
"""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from docstore.commands.asked_versions import asked_versions
from docstore.commands.view_report import ViewReader
from docstore.core.fleet_facts import Fleet
from docstore.core.kind import Kind
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.node_records import NodeRecords

#: For whom views are to be there, by version.
Readers: TypeAlias = Mapping[int, tuple[ViewReader, ...]]

#: Their views go when they do; those of all others stay until somebody says otherwise.
SEEN = frozenset({ViewReader.CLIENTS, ViewReader.NODES, ViewReader.DECLARED})


async def seen_readers(
    database: AnyDatabase, kind: Kind[Any], declared: Iterable[int], now: datetime.datetime
) -> dict[int, tuple[ViewReader, ...]]:
    """
    Return the versions from floor to latest of which somebody knows readers.

    Args:
        database: Where the fleet and the clients' questions are recorded.
        kind: Whose versions.
        declared: Versions of which the caller knows readers.
        now: The moment.

    Raises:
        RecordFormatError: A record of the fleet is that of another release of docstore.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    readers = [(asked.version, ViewReader.CLIENTS) for asked in await asked_versions(database, kind, now)]
    readers += await _of_fleet(database, kind)
    readers += [(version, ViewReader.DECLARED) for version in declared]
    seen: dict[int, tuple[ViewReader, ...]] = {}
    for version, reader in readers:
        if kind.floor <= version <= kind.latest and reader not in seen.get(version, ()):
            seen[version] = (*seen.get(version, ()), reader)
    return seen


async def _of_fleet(database: AnyDatabase, kind: Kind[Any]) -> list[tuple[int, ViewReader]]:
    """Return the highest version that each node of an older release, and each reader declared by hand, reads."""
    if driver_of(database) is Driver.MOCK:
        return []
    view = await ControlRecords(database).view()
    fleet = Fleet(await NodeRecords(database).all(), view.readers)
    nodes = {node.kinds[kind.name].latest for node in fleet.live(kind.name)}
    # A reader of this release's rows and of newer ones reads the view of this one's latest.
    declared = {min(reader.reads.high, kind.latest) for reader in fleet.readers_of(kind.name)}
    found = [(version, ViewReader.NODES) for version in sorted(nodes) if version < kind.latest]
    return [*found, *((version, ViewReader.DECLARED) for version in sorted(declared))]
