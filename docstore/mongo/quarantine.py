"""The records of rows that could not be upgraded, in `docstore_quarantine`."""

from typing import Any, Final

from bson.max_key import MaxKey
from bson.min_key import MinKey

from docstore.mongo.driver import AnyDatabase, AnySession, Driver, driver_of, open_collection

#: The collection that holds the records of every kind.
QUARANTINE: Final = "docstore_quarantine"


async def count_quarantined(database: AnyDatabase, kind: str, session: AnySession | None = None) -> int:
    """Return how many rows of a kind are put aside."""
    records = open_collection(database, QUARANTINE)
    of_kind = {"kind": kind} if driver_of(database) is Driver.MOCK else _of(kind)
    number: int = await records.count_documents(of_kind, session=session)
    return number


def _of(kind: str) -> dict[str, Any]:
    # A range on the `_id`, which begins with the kind, needs no index of its own.
    return {"_id": {"$gte": {"kind": kind, "id": MinKey()}, "$lte": {"kind": kind, "id": MaxKey()}}}
