"""
The indexes that a kind declares for its versions, held against those that are there.
"""

from collections.abc import Sequence

from docstore.core.index_spec import IndexSpec
from docstore.mongo.driver import AnyDatabase, open_collection
from docstore.mongo.failures import translated
from docstore.mongo.tag_index import finished_indexes


async def missing_indexes(
    database: AnyDatabase, collection: str, declared: Sequence[IndexSpec]
) -> tuple[IndexSpec, ...]:
    """
    Return those of the declared indexes that no query could use now; reads only.

    An index that is being built is missing. One with the same keys that leaves out rows (partial, sparse, hidden),
    or allows what the declared one forbids (unique), does not stand for it.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    if not declared:
        return ()
    with translated():
        there = await finished_indexes(database, collection)
    return tuple(index for index in declared if not any(index.is_met_by(each) for each in there))


async def build_indexes(database: AnyDatabase, collection: str, declared: Sequence[IndexSpec]) -> None:
    """
    Build indexes, one after the other; idempotent. Readers and writers go on meanwhile.

    Raises:
        StoreRejectedError: One cannot be built: rows stand in its way, or another index has its name.
        StoreUnavailableError: The database; what it began to build it may finish.
    """
    rows = open_collection(database, collection)
    with translated():
        for index in declared:
            options = {name: value for name, value in index.options.items() if name != "v"}
            await rows.create_index(list(index.keys), **{"name": index.name, **options})
