"""The index on (tag, _id) that makes coverage and backfill cheap."""

from collections.abc import Mapping
from typing import Any, Final

from pymongo import ASCENDING
from pymongo.collation import Collation
from pymongo.errors import OperationFailure

from docstore.mongo.driver import AnyDatabase, Driver, driver_of, open_collection, settled
from docstore.mongo.failures import translated

#: What makes an index on the right keys useless for counting every row.
_PARTIAL: Final = ("partialFilterExpression", "sparse", "hidden", "collation")
#: NamespaceNotFound: nothing was ever stored.
_NO_COLLECTION: Final = 26


async def find_tag_index(database: AnyDatabase, collection: str, field: str) -> str | None:
    """
    Return the name of the index on exactly (*field*, `_id`) that holds every row, or None.

    An index with a collation does not count: it holds collation keys instead of text ids. Nor does one that is still
    being built, by another process for example: no query can use it.
    """
    with translated():
        for index in await finished_indexes(database, collection):
            keys = list(index["key"].items())
            if keys == [(field, ASCENDING), ("_id", ASCENDING)] and not any(name in index for name in _PARTIAL):
                return str(index["name"])
    return None


async def finished_indexes(database: AnyDatabase, collection: str) -> list[Mapping[str, Any]]:
    """
    Return the indexes of a collection but for those that are still being built.

    Raises:
        PyMongoError: As the driver raises it; the caller translates it.
    """
    if driver_of(database) is Driver.MOCK:
        return [index async for index in await settled(open_collection(database, collection).list_indexes())]
    try:
        # Without the option, indexes that are being built look like the others. There are 64 at most: one answer.
        answer = await database.command({"listIndexes": collection, "includeBuildUUIDs": True})
    except OperationFailure as error:
        if error.code == _NO_COLLECTION:
            return []
        raise
    return [index for index in answer["cursor"]["firstBatch"] if "buildUUID" not in index]


async def holds_arrays(database: AnyDatabase, collection: str, index: str) -> bool:
    """
    Tell whether any tag in the index is or was an array; then neither its ranges nor its keys tell what a tag is.
    """
    question = {"find": collection, "hint": index, "limit": 1}
    with translated():
        answer = await database.command({"explain": question, "verbosity": "queryPlanner"})
    return _says_multikey(answer)


def _says_multikey(plan: Any) -> bool:
    if isinstance(plan, Mapping):
        return plan.get("isMultiKey") is True or any(map(_says_multikey, plan.values()))
    return isinstance(plan, list) and any(map(_says_multikey, plan))


async def build_tag_index(database: AnyDatabase, collection: str, field: str) -> str:
    """
    Build the index on (*field*, `_id`) and return its name; idempotent.

    Returns when the index is ready to be used. Readers and writers go on meanwhile.
    """
    rows = open_collection(database, collection)
    # Said explicitly, because a collection may have another collation as its default.
    options: dict[str, Any] = {} if driver_of(database) is Driver.MOCK else {"collation": Collation("simple")}
    with translated():
        name: str = await rows.create_index(
            [(field, ASCENDING), ("_id", ASCENDING)], name=f"docstore_{field}", **options
        )
    return name
