"""
The index on those rows whose tag is of another type than an integer: none, most of the time.

No index on the tag itself tells 3 from `Decimal128("3")`: they are the same key. This one does, because it holds rows
of the other types only, so it costs next to nothing, and what it does not hold is an integer or not there.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.collation import Collation

#: BSON types of a tag that are neither "int" nor "long", and are not missing or null either.
ODD_TYPES: Final = (
    "double",
    "decimal",
    "string",
    "bool",
    "object",
    "array",
    "date",
    "timestamp",
    "objectId",
    "binData",
    "undefined",
    "regex",
    "dbPointer",
    "javascript",
    "javascriptWithScope",
    "symbol",
    "minKey",
    "maxKey",
)

_ALTERED: Final = ("sparse", "hidden", "collation")


def odd_tags(field: str) -> dict[str, Any]:
    """
    Return the filter for rows whose tag is of another type than an integer, which is that of the index too.
    """
    return {field: {"$type": list(ODD_TYPES)}}


def odd_index_model(field: str) -> IndexModel:
    """
    Return the index, to be built.
    """
    name, only = f"docstore_{field}_odd", odd_tags(field)
    return IndexModel(_keys(field), name=name, partialFilterExpression=only, collation=Collation("simple"))


def odd_index_among(indexes: Sequence[Mapping[str, Any]], field: str) -> str | None:
    """
    Return the name of the index among those that a server lists, or None.
    """
    for index in indexes:
        same = list(index["key"].items()) == _keys(field) and index.get("partialFilterExpression") == odd_tags(field)
        if same and not any(name in index for name in _ALTERED):
            return str(index["name"])
    return None


def _keys(field: str) -> list[tuple[str, int]]:
    # Descending, because servers before 5.0 take no two indexes on the same keys.
    return [(field, DESCENDING), ("_id", ASCENDING)]
