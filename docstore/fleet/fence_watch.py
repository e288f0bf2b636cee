"""
Reading fences again and again, so that queries need not look for rows that fences forbid.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from docstore.core.absence import Absence, FenceSeen, absence, wants_watching
from docstore.core.fence_level import FenceLevel
from docstore.core.kind import Kind
from docstore.core.stale_query import other_versions
from docstore.errors import DocstoreError
from docstore.fleet.heard import Heard
from docstore.mongo.driver import AnyDatabase, newest
from docstore.mongo.fence import read_fence
from docstore.mongo.leaving import is_told_to_end
from docstore.mongo.reading import RowSource
from docstore.mongo.stored_versions import stored_versions

_log: Final = structlog.get_logger("docstore.fleet")

#: For how many beats a fence is believed to stand as it was read.
TRUSTED_BEATS: Final = 3


@dataclass(frozen=True, slots=True)
class _Reading:
    """A fence as it was read, when it was asked for, and whether no row was found outside of it since it stands so."""

    sent: float
    seen: FenceSeen
    looked: bool


class FenceWatch:
    """
    What one node knows of the fences of its kinds: one call for each kind and beat, for kinds that have a proved fence.

    A fence that was taken away behind docstore's back is noticed with the next reading; for up to three beats queries
    go on without a look. One that is there again is trusted after a look for rows that came in meanwhile.

    Args:
        database: Where the rows are.
        heard: What the control records say, as the node has heard it, and its kinds.
        silent: Gives how many seconds ago the node heard it.
        beat: How often to read, in seconds.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        database: AnyDatabase,
        heard: Heard,
        silent: Callable[[], float],
        beat: float,
        clock: Callable[[], float],
    ) -> None:
        self._database = newest(database)
        self._kinds = {kind.name: kind for kind in heard.kinds}
        self._heard = heard
        self._silent = silent
        self._beat = beat
        self._clock = clock
        self._readings: dict[str, _Reading] = {}

    def absence(self, kind: str) -> Absence:
        """Return which versions of a kind are taken for absent now, and why. Makes no call."""
        return self._absence(self._kinds[kind], self._readings.get(kind))

    async def live(self) -> None:
        """Read the fences once a beat, until the task is cancelled."""
        while not is_told_to_end():
            try:
                async with asyncio.timeout(self._beat * TRUSTED_BEATS):
                    await self.look()
            except (DocstoreError, TimeoutError) as error:
                # What was read before is believed for its time, and no longer.
                _log.debug("fences not read", reason=type(error).__name__)
            await asyncio.sleep(self._beat)

    async def look(self) -> None:
        """
        Read the fences that could spare queries a look.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database.
        """
        for kind in self._kinds.values():
            if wants_watching(kind, self._heard.view.floors.get(kind.name)):
                self._readings[kind.name] = await self._read(kind)
            else:
                self._readings.pop(kind.name, None)

    async def _read(self, kind: Kind[Any]) -> _Reading:
        sent, before = self._clock(), self._readings.get(kind.name)
        found = await read_fence(self._database, kind.collection)
        seen = FenceSeen(found.uuid, found.bounds, found.holds and found.validation.level == FenceLevel.STRICT)
        if before is not None and before.seen == seen and before.looked:
            return _Reading(sent, seen, looked=True)
        outside = self._absence(kind, _Reading(sent, seen, looked=True))
        if outside.low is None:
            return _Reading(sent, seen, looked=False)
        # After the fence was seen: whatever came in before it is found, and nothing comes in since.
        versions = other_versions(kind)
        let_in = outside.among(versions)
        rows = RowSource(self._database, kind.collection)
        stored = await stored_versions(
            rows, kind.version_field, [version for version in versions if version not in let_in]
        )
        if stored:
            _log.warning("rows outside the fence", kind=kind.name, versions=stored)
        return _Reading(sent, seen, looked=not stored)

    def _absence(self, kind: Kind[Any], reading: _Reading | None) -> Absence:
        # A control record that nobody heard of lately may say something else by now.
        age = math.inf if reading is None else max(self._clock() - reading.sent, self._silent())
        return absence(
            kind,
            self._heard.view.floors.get(kind.name),
            None if reading is None else reading.seen,
            age=age,
            trusted=self._beat * TRUSTED_BEATS,
            looked=reading is not None and reading.looked,
        )
