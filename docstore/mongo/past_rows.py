"""Rows as they were at a moment of the near past."""

from collections.abc import Sequence
from typing import Any, Final

from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp

from docstore.core.bson_values import CODEC, decode, encode
from docstore.errors import StoreRejectedError
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.failures import translated

_RAW: Final = CODEC.with_options(document_class=RawBSONDocument)
_INCREMENTS: Final = 2**32


class PastRows:
    """
    Reads rows of one collection as they were just after an event, or just before it.

    A server keeps the past for five minutes (`minSnapshotHistoryWindowInSeconds`). Reads go to the primary.
    """

    def __init__(self, database: AnyDatabase, collection: str) -> None:
        self._database = database
        self._collection = collection

    async def at(self, time: Timestamp, ids: Sequence[Any]) -> dict[bytes, bytes] | None:
        """
        Return the rows as they were at *time*, by `key_of` their ids; None where the server does not know any more.

        What fits into one answer (16 MB); a row that is not there may be one that did not fit.
        """
        command = {
            "find": self._collection,
            "filter": {"_id": {"$in": list(ids)}},
            "batchSize": len(ids),
            "singleBatch": True,
            "readConcern": {"level": "snapshot", "atClusterTime": time},
        }
        try:
            with translated():
                answer = await self._database.command(command, codec_options=_RAW)
        except StoreRejectedError:
            # Too old, or a past that this server or this user cannot read: the caller has to do without.
            return None
        rows = (bytes(row.raw) for row in answer["cursor"]["firstBatch"])
        return {key_of(decode(row)["_id"]): row for row in rows}


def just_before(time: Timestamp) -> Timestamp:
    """Return the last moment before one."""
    before = time.time * _INCREMENTS + time.inc - 1
    return Timestamp(*divmod(before, _INCREMENTS))


def key_of(id: Any) -> bytes:
    """Return what tells ids apart: those of some types cannot be keys of a dict, and 1 and 1.0 would be one key."""
    return encode({"": id})
