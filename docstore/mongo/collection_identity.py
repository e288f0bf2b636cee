"""
Which collection stands under a name: one that was dropped, renamed over or restored has another UUID than before.
"""

import uuid
from typing import Final

from bson.binary import Binary, UuidRepresentation
from pymongo.errors import OperationFailure

from docstore.core.bson_values import CODEC
from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.failures import translated

#: Unauthorized.
_NOT_ALLOWED: Final = 13


async def collection_uuid(database: AnyDatabase, name: str) -> uuid.UUID | None:
    """
    Return the UUID of a collection; None where there is none, where this user must not ask, and on the mock.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    if driver_of(database) is Driver.MOCK:
        return None
    with translated():
        try:
            answer = await database.command({"listCollections": 1, "filter": {"name": name}}, codec_options=CODEC)
        except OperationFailure as error:
            if error.code == _NOT_ALLOWED:
                return None
            raise
    for found in answer["cursor"]["firstBatch"]:
        told = found["info"].get("uuid")
        return told.as_uuid(UuidRepresentation.STANDARD) if isinstance(told, Binary) else told
    return None
