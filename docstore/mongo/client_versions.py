"""
How often clients asked for documents in older versions, in `docstore_history`.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bson.max_key import MaxKey
from bson.min_key import MinKey

from docstore.core.record_format import HISTORY as HISTORY_FORMAT
from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.failures import translated
from docstore.mongo.own_records import HISTORY, open_records

_WHAT: Final = "client_version"


@dataclass(frozen=True, slots=True)
class AskedFor:
    """How often one version was asked for on one day, in UTC; one record for each, whoever counts."""

    version: int
    day: str
    asks: int
    last_asked: datetime.datetime


class ClientVersions:
    """The records of a database. Driver errors come out as `StoreUnavailableError` and `StoreRejectedError`."""

    def __init__(self, database: AnyDatabase) -> None:
        self._is_mock = driver_of(database) is Driver.MOCK
        self._records = open_records(database, HISTORY) if not self._is_mock else database.get_collection(HISTORY)

    async def add(self, kind: str, asked: AskedFor) -> None:
        """
        Add to what is recorded of a version and a day; atomic, so that any number of processes may count.

        Raises:
            RecordFormatError: The record has a format that this release does not know; nothing was added.
        """
        facts = {"what": _WHAT, "kind": kind, "version": asked.version, "day": asked.day}
        record_id = {"asked": kind, "version": asked.version, "day": asked.day}
        with translated():
            strange = await self._records.find_one({"_id": record_id, **HISTORY_FORMAT.unknown})
            if strange is not None:
                _check(strange)
            await self._records.update_one(
                {"_id": record_id},
                {
                    "$inc": {"asks": asked.asks},
                    "$max": {"last_asked": asked.last_asked},
                    "$setOnInsert": {"schema_version": HISTORY_FORMAT.written, **facts},
                },
                upsert=True,
            )

    async def since(self, kind: str, day: str) -> Sequence[AskedFor]:
        """
        Return what is recorded of a kind from a day on, by version and day.

        Raises:
            RecordFormatError: A record has a format that this release does not know.
        """
        wanted: dict[str, Any] = {"what": _WHAT, "kind": kind, "day": {"$gte": day}}
        if not self._is_mock:
            # A range of the `_id`, which begins with the kind, needs no index of its own.
            low, high = ({"asked": kind, "version": bound} for bound in (MinKey(), MaxKey()))
            wanted["_id"] = {"$gte": low, "$lte": high}
        with translated():
            found = [record async for record in self._records.find(wanted)]
        for each in found:
            _check(each)
        records = [AskedFor(each["version"], each["day"], each["asks"], _utc(each["last_asked"])) for each in found]
        return sorted(records, key=lambda record: (record.version, record.day))


def _check(record: dict[str, Any]) -> None:
    HISTORY_FORMAT.check(f"{HISTORY} of {record['kind']} in version {record['version']}", record)


def _utc(time: datetime.datetime) -> datetime.datetime:
    # The mock gives what it was given, without a zone.
    return time.replace(tzinfo=datetime.UTC) if time.tzinfo is None else time
