"""
Since when things are as the control records say, from the history of their changes.
"""

import datetime
from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey
from pymongo import DESCENDING

from docstore.core.control_view import KNOB_PREFIX
from docstore.core.record_format import HISTORY as FORMAT
from docstore.core.rollout_state import OPEN
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.failures import translated
from docstore.mongo.own_records import HISTORY, open_records


class ControlTimes:
    """
    The times of changes in a database. Driver errors come out as `StoreUnavailableError` and `StoreRejectedError`.
    """

    def __init__(self, database: AnyDatabase) -> None:
        self._history = open_records(database, HISTORY)

    async def rollout_opened(self, kind: str) -> datetime.datetime | None:
        """
        Return when the rollout of a kind was opened last; moves between open states are no opening.

        Raises:
            RecordFormatError: The entry has a format that this release does not know.
        """
        states = [state.value for state in OPEN]
        return await self._newest(kind, {"before": {"$nin": states}, "after": {"$in": states}})

    async def knob_turned(self, name: str) -> datetime.datetime | None:
        """
        Return when a knob was turned last.

        Raises:
            RecordFormatError: The entry has a format that this release does not know.
        """
        return await self._newest(KNOB_PREFIX + name, {})

    async def _newest(self, about: str, only: dict[str, Any]) -> datetime.datetime | None:
        # A range of the `_id`, which begins with what the entry is about, needs no index of its own.
        low, high = ({"control": about, "number": bound} for bound in (MinKey(), MaxKey()))
        with translated():
            entry = await self._history.find_one(
                {"_id": {"$gte": low, "$lte": high}, **only}, sort=[("_id", DESCENDING)]
            )
        if entry is None:
            return None
        FORMAT.check(f"{HISTORY} {about}-{entry['_id']['number']}", entry)
        at: datetime.datetime = entry["at"]
        return at
