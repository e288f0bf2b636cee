"""Which old versions are stored: a quick look, by the index on the tag where there is one."""

from collections.abc import Collection, Mapping
from typing import Any

from bson.decimal128 import Decimal128

from docstore.core.stale_branch import StoredVersion
from docstore.mongo.driver import AnySession, Driver, settled
from docstore.mongo.failures import translated
from docstore.mongo.reading import RowSource


async def stored_versions(
    source: RowSource,
    field: str,
    among: Collection[StoredVersion],
    *,
    narrowed: Mapping[str, Any] | None = None,
    session: AnySession | None = None,
) -> list[StoredVersion]:
    """
    Return those of the versions at which rows are stored; None stands for rows without a tag.

    None that is stored is left out. Where a tag is the Decimal128 of a version, which is no version, that version may
    be named although no row stands there.

    Args:
        source: The collection.
        field: The tag.
        among: The versions to look for.
        narrowed: Look only among the rows that match this filter.
        session: The session to read in.
    """
    numbers = [version for version in among if version is not None]
    if not numbers:
        return []
    narrowed = dict(narrowed or {})
    if source.driver is Driver.MOCK:
        found = [row.get(field) async for row in source.collection.find(narrowed, {field: 1})]
    else:
        # With an index on the tag, the first jumps from value to value, and the second is one look.
        looks: list[Any] = [
            {"$match": {**narrowed, field: {"$gte": min(numbers), "$lte": max(numbers)}}},
            {"$group": {"_id": f"${field}"}},
        ]
        untagged = {**narrowed, field: None}
        apart = None in among and session is not None and session.in_transaction
        if None in among and not apart:
            one = [{"$match": untagged}, {"$limit": 1}, {"$project": {"_id": {"$literal": None}}}]
            looks.append({"$unionWith": {"coll": source.name, "pipeline": one}})
        with translated():
            cursor = await settled(source.collection.aggregate(looks, session=session))
            found = [group["_id"] async for group in cursor]
        # A transaction has no `$unionWith`.
        if apart and await source.holds(untagged, session=session):
            found.append(None)
    values = {_comparable(value) for value in found}
    return [version for version in among if version in values]


def _comparable(value: Any) -> Any:
    """Return a tag so that Python compares it with a version as the server does; False for what is no number."""
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return number if number.is_finite() else False
    return value if value is None or (isinstance(value, int | float) and not isinstance(value, bool)) else False
