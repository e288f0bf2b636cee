"""
The index by which rows with a residue are found: no row has one before it is there.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from pymongo import ASCENDING
from pymongo.collation import Collation

from docstore.core.kind import Kind
from docstore.core.residue import RESIDUE
from docstore.errors import StoreRejectedError
from docstore.mongo.driver import AnyDatabase, AnySession, Driver, driver_of, open_collection
from docstore.mongo.failures import translated
from docstore.mongo.reading import RowSource
from docstore.mongo.residue_steps import ResidueSteps
from docstore.mongo.tag_index import finished_indexes

#: What the index is called.
RESIDUE_INDEX: Final = "docstore_residue"

#: How long this process relies on what it has seen before it looks again, in seconds: somebody may drop a collection
#: and create it anew, and a node that was away comes back to steps that others have written anew.
_RELIED_ON: Final = 1.0

_ROWS: Final[Mapping[str, Any]] = {RESIDUE: {"$exists": True}}
#: BadValue: no such index here. SnapshotUnavailable, SnapshotTooOld: it is younger than the moment that is read.
_NO_INDEX: Final = 2
_YOUNGER: Final = frozenset({239, 246})


class ResidueIndex:
    """
    The index on those rows of one kind that have a residue. It holds nothing of any other row.

    Args:
        database: Where the rows are.
        kind: Their kind.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, database: AnyDatabase, kind: Kind[Any], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._collection = kind.collection
        self._field = kind.version_field
        self._source = RowSource(database, kind.collection)
        self._steps = ResidueSteps(database, kind)
        self._clock = clock
        self._there = False
        self._ready_until = -math.inf

    async def require(self) -> None:
        """
        Build the index unless it is there, and have the fleet remember by which steps rows keep a residue.

        To be done before a row with a residue is stored. Idempotent, and without a call within a second of the last.
        Not within a transaction: the server would wait for it to end.

        Raises:
            StoreRejectedError: It cannot be built; no row with a residue may be stored then.
            StoreUnavailableError: The database could not be reached.
        """
        now = self._clock()
        if now < self._ready_until or driver_of(self._database) is Driver.MOCK:
            return
        if not await self._looked():
            with translated():
                await open_collection(self._database, self._collection).create_index(
                    [(self._field, ASCENDING)],
                    name=RESIDUE_INDEX,
                    partialFilterExpression=dict(_ROWS),
                    collation=Collation("simple"),
                )
        await self._steps.remember()
        self._there, self._ready_until = True, now + _RELIED_ON

    async def ready_in_transaction(self) -> bool:
        """
        Tell whether a row with a residue may be stored in a transaction: the index cannot be built there.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database could not be reached, or refused.
        """
        now = self._clock()
        if now < self._ready_until or driver_of(self._database) is Driver.MOCK:
            return True
        if not await self._looked():
            return False
        await self._steps.remember()
        self._ready_until = now + _RELIED_ON
        return True

    async def exists(self) -> bool:
        """
        Tell whether the index is there, and built.
        """
        return self._there or await self._looked()

    async def _looked(self) -> bool:
        with translated():
            found = await finished_indexes(self._database, self._collection)
        self._there = any(index["name"] == RESIDUE_INDEX for index in found)
        return self._there

    async def holds_rows(self, session: AnySession | None) -> bool:
        """
        Tell whether a row with a residue is stored, at the moment that the session reads.

        The moment has to be fixed already: where there is no index now, there was no such row before.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database could not be reached, or refused.
        """
        if driver_of(self._database) is Driver.MOCK:
            return await self._source.holds(_ROWS)
        if not await self.exists():
            return False
        try:
            with translated():
                found = await self._source.collection.find_one(
                    dict(_ROWS), {"_id": 1}, hint=RESIDUE_INDEX, session=session
                )
        except StoreRejectedError as error:
            if error.code in _YOUNGER:
                return False
            if error.code != _NO_INDEX or (session is not None and session.in_transaction):
                raise
            # A member that lags behind, or somebody has dropped it: a long look, and the right answer.
            self._there = False
            return await self._source.holds(_ROWS, session=session)
        return found is not None
