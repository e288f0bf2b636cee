"""
Lists of writes: counts, order, and what became of each when some fail. The same on all three drivers.
"""

import asyncio
import pickle
from typing import Any

import pytest

from docstore import BulkResult, Collection, Delete, Insert, Replace, Update
from docstore.errors import (
    BulkFailedError,
    ConflictError,
    DocumentExistsError,
    InvalidDocumentError,
    UnstorableValueError,
    UpdateRefusedError,
)
from docstore.store.bulk import BulkRun, SingleWrites
from tests.kinds import Place, stored

BOTH = pytest.mark.parametrize("ordered", [True, False])


async def _found(rows: Any) -> list[dict[str, Any]]:
    return [row async for row in rows.find({}, sort=[("_id", 1)])]


@BOTH
async def test_a_mixture_of_writes_on_rows_of_every_version_is_counted(
    places: Collection[Place],
    rows: Any,
    ordered: bool,  # noqa: FBT001
) -> None:
    await rows.insert_many([stored(version, place) for place, version in enumerate([None, 1, 2, 3])])
    await rows.insert_many([stored(1, 10, "Molde"), stored(1, 11, "Bodø"), stored(3, 12, "Bodø")])
    read = await places.get(10)
    read.visits = 7
    new = Place(id=20, name="Ålesund")
    result = await places.bulk(
        [
            Update({"name": "Oslo"}, {"$inc": {"visits": 1}}, many=True),
            Insert(new),
            Replace(read),
            Update({"_id": 30, "name": "Tromsø"}, {"$inc": {"visits": 3}}, upsert=True),
            Delete({"name": "Bodø"}, many=True),
            Delete({"name": "nowhere"}),
            Insert(Place(id=21, name="Vardø")),
        ],
        ordered=ordered,
    )
    assert result == BulkResult(
        inserted=2, replaced=1, matched=4, modified=4, deleted=2, upserted_ids={3: 30}, errors={}, not_tried=()
    )
    found = await _found(rows)
    assert found[:5] == [*(stored(3, place, visits=1) for place in range(4)), stored(3, 10, "Molde", visits=7)]
    assert [row["_id"] for row in found[5:]] == [20, 21, 30]
    new.visits = 1
    await places.replace(new)


async def test_deletes_of_one_list_that_overlap_are_all_counted() -> None:
    others_are_under_way = asyncio.Event()

    async def delete(operation: Delete, _session: object) -> int:
        if operation.filter["_id"] == 3:
            others_are_under_way.set()
        await others_are_under_way.wait()
        return int(operation.filter["_id"])

    no_other: Any = None
    writes: SingleWrites[Place] = SingleWrites(no_other, no_other, no_other, delete)
    deletes = [Delete({"_id": number}) for number in (1, 2, 3)]

    assert (await BulkRun(writes, deletes, None).run(kind="place", ordered=False)).deleted == 6


async def test_in_order_nothing_comes_after_the_first_that_fails(places: Collection[Place], rows: Any) -> None:
    await rows.insert_one(stored(1))
    with pytest.raises(BulkFailedError) as caught:
        await places.bulk(
            [
                Insert(Place(id=2, name="a")),
                Update({"_id": 1}, {"$inc": {"visits": 1}}),
                Insert(Place(id=3, name="b")),
                Insert(Place(id=1, name="c")),
                Insert(Place(id=4, name="d")),
                Delete({}, many=True),
            ]
        )
    error = caught.value
    assert {place: type(fault) for place, fault in error.errors.items()} == {3: DocumentExistsError}
    assert error.not_tried == (4, 5)
    assert error.result == BulkResult(inserted=2, matched=1, modified=1, errors=error.errors, not_tried=(4, 5))
    assert [row["_id"] for row in await _found(rows)] == [1, 2, 3]
    assert pickle.loads(pickle.dumps(error)).not_tried == (4, 5)  # noqa: S301 - just made here


async def test_out_of_order_everything_else_is_done(places: Collection[Place], rows: Any) -> None:
    await rows.insert_many([stored(1, 1), stored(3, 2)])
    read = await places.get(2)
    await rows.update_one({"_id": 2}, {"$set": {"visits": 1}})
    read.visits = 5
    with pytest.raises(BulkFailedError) as caught:
        await places.bulk(
            [
                Replace(read),
                Insert(Place(id=1, name="a")),
                Update({"_id": 1}, {"$set": {"schema_version": 2}}),
                Insert(Place(id=3, name="b")),
                Insert(Place.model_construct(id=4, name="c", visits=2**70)),
                Insert(Place.model_construct(id=5, name=7)),
                Update({"_id": 1}, {"$inc": {"visits": 1}}),
            ],
            ordered=False,
        )
    faults = {place: type(fault) for place, fault in caught.value.errors.items()}
    assert faults == {
        0: ConflictError,
        1: DocumentExistsError,
        2: UpdateRefusedError,
        4: UnstorableValueError,
        5: InvalidDocumentError,
    }
    assert (caught.value.result.inserted, caught.value.result.matched, caught.value.not_tried) == (1, 1, ())
    assert [(row["_id"], row.get("visits")) for row in await _found(rows)] == [(1, 1), (2, 1), (3, 0)]


async def test_in_order_what_stands_before_a_document_that_cannot_be_stored_is_stored(
    places: Collection[Place], rows: Any
) -> None:
    with pytest.raises(BulkFailedError) as caught:
        await places.bulk([Insert(Place(id=1, name="a")), Insert(Place.model_construct(id=2, name=7)), Delete({})])
    assert {place: type(fault) for place, fault in caught.value.errors.items()} == {1: InvalidDocumentError}
    assert (caught.value.result.inserted, caught.value.not_tried) == (1, (2,))
    assert [row["_id"] for row in await _found(rows)] == [1]


@BOTH
async def test_an_empty_list_does_nothing(places: Collection[Place], ordered: bool) -> None:  # noqa: FBT001
    assert await places.bulk([], ordered=ordered) == BulkResult()


async def test_what_is_no_operation_is_refused_before_anything_is_written(places: Collection[Place], rows: Any) -> None:
    with pytest.raises(TypeError, match="operation 1 is a dict"):
        await places.bulk([Insert(Place(id=1, name="a")), {"delete": {}}])  # type: ignore[list-item]
    assert await rows.count_documents({}) == 0
