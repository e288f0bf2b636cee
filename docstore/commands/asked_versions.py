"""
Which older versions clients have asked for lately.
"""

import datetime
from typing import Any, Final

from docstore.core.coverage import ClientVersion
from docstore.core.kind import Kind
from docstore.mongo.client_versions import ClientVersions
from docstore.mongo.driver import AnyDatabase

#: For how many days a version that clients asked for counts as one that is asked for.
ASKED_WITHIN: Final = 30


async def asked_versions(database: AnyDatabase, kind: Kind[Any], now: datetime.datetime) -> list[ClientVersion]:
    """
    Return the versions that clients asked for within `ASKED_WITHIN` days, how often, and when last.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    since = (now.date() - datetime.timedelta(days=ASKED_WITHIN)).isoformat()
    found: dict[int, ClientVersion] = {}
    for asked in await ClientVersions(database).since(kind.name, since):
        before = found.get(asked.version)
        found[asked.version] = ClientVersion(
            version=asked.version,
            asks=asked.asks + (0 if before is None else before.asks),
            last_asked=asked.last_asked if before is None else max(asked.last_asked, before.last_asked),
        )
    return list(found.values())
