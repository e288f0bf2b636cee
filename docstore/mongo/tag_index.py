"""The index on (tag, _id) that makes coverage and backfill cheap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo import ASCENDING, IndexModel
from pymongo.collation import Collation
from pymongo.errors import OperationFailure

from docstore.mongo.driver import AnyDatabase, Driver, driver_of, open_collection, settled
from docstore.mongo.failures import translated
from docstore.mongo.odd_tags import odd_index_among, odd_index_model

#: What makes an index on the right keys useless for counting every row.
_PARTIAL: Final = ("partialFilterExpression", "sparse", "hidden", "collation")
#: NamespaceNotFound: nothing was ever stored.
_NO_COLLECTION: Final = 26


@dataclass(frozen=True, slots=True)
class TagIndexes:
    """
    The names of the indexes on the tag; None for one that is not there.
    """

    #: On (tag, `_id`), of every row.
    tag: str | None = None
    #: On the rows whose tag is no integer.
    odd: str | None = None


async def find_tag_indexes(database: AnyDatabase, collection: str, field: str) -> TagIndexes:
    """
    Return both indexes on the tag, as far as they are there; see `find_tag_index`.
    """
    with translated():
        indexes = await finished_indexes(database, collection)
    return TagIndexes(_tag_index_among(indexes, field), odd_index_among(indexes, field))


async def find_tag_index(database: AnyDatabase, collection: str, field: str) -> str | None:
    """
    Return the name of the index on exactly (*field*, `_id`) that holds every row, or None.

    An index with a collation does not count: it holds collation keys instead of text ids. Nor does one that is still
    being built, by another process for example: no query can use it.
    """
    return (await find_tag_indexes(database, collection, field)).tag


def _tag_index_among(indexes: Sequence[Mapping[str, Any]], field: str) -> str | None:
    for index in indexes:
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
    Build the index on (*field*, `_id`) and return its name, and the small one on odd tags with it; idempotent.

    Returns when both are ready to be used. Readers and writers go on meanwhile; every row is read once. The mock gets
    the first one only.
    """
    rows = open_collection(database, collection)
    there = await find_tag_indexes(database, collection, field)
    name = there.tag or f"docstore_{field}"
    keys = [(field, ASCENDING), ("_id", ASCENDING)]
    with translated():
        if driver_of(database) is Driver.MOCK:
            await rows.create_index(keys, name=name)
            return name
        models = [] if there.odd else [odd_index_model(field)]
        if there.tag is None:
            # The collation said explicitly, because a collection may have another one as its default.
            models.append(IndexModel(keys, name=name, collation=Collation("simple")))
        if models:
            await rows.create_indexes(models)
    return name
