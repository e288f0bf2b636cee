"""
What a store counts, and how it fares as a node, in numbers for Prometheus.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from pydantic import BaseModel
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Insert, Replace, Store, StoreMetrics
from docstore.errors import (
    BulkFailedError,
    ConflictError,
    DocumentExistsError,
    DocumentNotFoundError,
    InvalidDocumentError,
    NewerVersionError,
    QueryRefusedError,
    StaleNodeError,
    StaleQueryError,
    UnguardedReplaceError,
    UpdateRefusedError,
    UpgradeFailedError,
)
from docstore.fleet.operating import Rollouts
from tests.integration.fleet.conftest import until, vanish
from tests.kinds import Place, place_kind, stored

Database = AsyncDatabase[dict[str, Any]]
KIND = place_kind(latest=3)


class Name(BaseModel):
    name: str


class Numbers:
    """
    What a registry shows of the kind `place`.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = StoreMetrics(self.registry)

    def of(self, name: str) -> dict[tuple[str, ...], float]:
        """
        Return the samples of a counter that are not 0, by their labels but service and kind.
        """
        found: dict[tuple[str, ...], float] = {}
        for family in self.registry.collect():
            for sample in family.samples:
                if sample.name == f"docstore_store_{name}_total" and sample.value:
                    labels = dict(sample.labels)
                    assert (labels.pop("service"), labels.pop("kind")) == ("api", "place")
                    found[tuple(labels.values())] = sample.value
        return found

    def node(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"docstore_node_{name}", {"service": "api", **labels})


@pytest.fixture
def numbers() -> Numbers:
    return Numbers()


def opened(database: Any, numbers: Numbers, **options: Any) -> Store:
    return Store(database, [KIND], service="api", metrics=numbers.metrics, **options)


async def test_rows_are_counted_at_the_version_where_they_are_stored(database: Database, numbers: Numbers) -> None:
    await database.places.insert_many([stored(1, 1), stored(2, 2), stored(3, 3), stored(3, 4), stored(None, 5)])
    places = opened(database, numbers).collection(KIND)

    await places.get(1)
    await places.find_one({"_id": 3})
    await places.find().to_list()
    assert [place.id async for place in places.find(sort=[("_id", 1)], limit=3)] == [1, 2, 3]

    assert numbers.of("rows_read") == {("1",): 4, ("2",): 2, ("3",): 4}
    assert numbers.of("upgrade_failures") == numbers.of("refusals") == {}


async def test_parts_and_older_shapes_count_at_the_version_of_their_row(database: Database, numbers: Numbers) -> None:
    await database.places.insert_many([stored(1, 1), stored(3, 3)])
    async with opened(database, numbers, fleet=False) as store:
        places = store.collection(KIND)

        assert len(await places.find(projection=Name).to_list()) == 2
        assert (await places.get(3, as_version=2))["_id"] == 3
        assert len(await places.find(as_version=1).to_list()) == 2

    assert numbers.of("rows_read") == {("1",): 2, ("3",): 3}


async def test_rows_that_cannot_be_read_count_once_by_version_and_error(database: Database, numbers: Numbers) -> None:
    broken = {**stored(1, 1), "title": 7}
    await database.places.insert_many(
        [broken, {**stored(3, 2), "name": 7}, stored(9, 3), stored(99, 4), {**stored(1, 5), "schema_version": "x"}]
    )
    places = opened(database, numbers).collection(KIND)

    with pytest.raises(UpgradeFailedError):
        await places.get(1)
    with pytest.raises(InvalidDocumentError):
        await places.find({"_id": 2}).to_list()
    with pytest.raises(NewerVersionError):
        await anext(places.find({"_id": 3}))
    assert await places.find({"_id": {"$gte": 2}}, on_error="skip").to_list() == []

    assert numbers.of("upgrade_failures") == {
        ("1", "UpgradeFailedError"): 1,
        ("3", "InvalidDocumentError"): 2,
        ("newer", "NewerVersionError"): 3,
        ("unknown", "UnknownVersionError"): 1,
    }
    assert numbers.of("refusals") == {("UpgradeFailedError",): 1}


async def test_what_is_stored_counts_by_version_and_operation(database: Database, numbers: Numbers) -> None:
    await database.places.insert_many([stored(1, 1), stored(2, 2)])
    async with opened(database, numbers, fleet=False) as store:
        places = store.collection(KIND)
        await places.insert(Place(id=10, name="Oslo"))
        await places.insert_many([Place(id=11, name="Rome"), Place(id=12, name="Bonn")])
        place = await places.get(10)
        await places.replace(place)
        place.name = "Oslo!"
        await places.replace(place)
        await places.modify(1, lambda found: found.model_copy(update={"name": "x"}))
        await places.replace(Place(id=11, name="Roma"), unguarded=True)
        await places.update_many({}, {"$set": {"name": "y"}})
        await places.upsert({"_id": 13}, {"$set": {"name": "z"}})
        await places.find_one_and_update({"_id": 13}, {"$set": {"name": "zz"}})
        await places.delete(10)
        assert await places.delete_many({"_id": {"$in": [11, 12]}}) == 2

    assert numbers.of("rows_written") == {
        ("3", "insert"): 4,
        # Twice what was changed, and the row at 2 that had to be brought up.
        ("3", "rewrite"): 3,
        ("3", "overwrite"): 1,
        ("3", "update"): 6,
    }
    assert numbers.of("rows_deleted") == {(): 3}
    assert numbers.of("conflicts") == numbers.of("refusals") == {}


async def test_rows_that_are_written_back_count_too(database: Database, numbers: Numbers) -> None:
    await database.places.insert_many([stored(1, 1), stored(1, 2), stored(2, 3)])

    async with opened(database, numbers, write_back=True, fleet=False) as store:
        await store.collection(KIND).find().to_list()

    assert numbers.of("rows_written") == {("3", "rewrite"): 3}


async def test_writes_that_come_too_late_are_conflicts(database: Database, numbers: Numbers) -> None:
    await database.places.insert_one(stored(3, 1))
    places = opened(database, numbers, fleet=False).collection(KIND)
    tries = 0

    async def change(place: Place) -> Place:
        nonlocal tries
        tries += 1
        if tries == 1:
            await database.places.update_one({"_id": 1}, {"$set": {"name": "theirs"}})
        return place.model_copy(update={"name": "ours"})

    await places.modify(1, change)
    stale = await places.get(1)
    await database.places.update_one({"_id": 1}, {"$set": {"name": "theirs"}})
    stale.name = "too late"
    with pytest.raises(ConflictError):
        await places.replace(stale)

    assert numbers.of("conflicts") == {(): 2}
    assert numbers.of("refusals") == {("ConflictError",): 1}
    assert numbers.of("rows_written") == {("3", "rewrite"): 1}


async def test_calls_that_are_refused_count_once_by_the_class_of_their_error(
    database: Database, numbers: Numbers
) -> None:
    await database.places.insert_one(stored(1, 1))
    places = opened(database, numbers, fleet=False).collection(KIND)
    one = Place(id=1, name="Oslo")

    async def refused(call: Callable[[], Any], error: type[Exception]) -> None:
        with pytest.raises(error):
            await call()

    await refused(lambda: places.insert(one), DocumentExistsError)
    await refused(lambda: places.replace(one), UnguardedReplaceError)
    await refused(lambda: places.update({"_id": 1}, {"$set": {"schema_version": 7}}), UpdateRefusedError)
    await refused(lambda: places.update_many({"_id": 1}, {"$set": {"schema_version": 7}}), UpdateRefusedError)
    await refused(lambda: places.find_one({"schema_version": 7}), QueryRefusedError)
    await refused(lambda: places.aggregate([{"$match": {"schema_version": 7}}]), QueryRefusedError)
    await refused(lambda: places.get(77), DocumentNotFoundError)
    with pytest.raises(QueryRefusedError):
        places.find({"schema_version": 7})
    with pytest.raises(BulkFailedError):
        await places.bulk([Insert(one), Insert(one), Replace(one)], ordered=False)

    assert numbers.of("refusals") == {
        ("DocumentExistsError",): 3,
        ("UnguardedReplaceError",): 2,
        ("UpdateRefusedError",): 2,
        ("QueryRefusedError",): 3,
    }


async def test_a_query_that_is_refused_when_it_is_asked_counts(database: Database, numbers: Numbers) -> None:
    await database.places.insert_one(stored(1, 1))
    places = opened(database, numbers, fleet=False).collection(KIND)

    with pytest.raises(StaleQueryError):
        await places.find({"slug": "oslo"}).to_list()
    with pytest.raises(StaleQueryError):
        await (await places.aggregate([{"$match": {"slug": "oslo"}}])).to_list()

    assert numbers.of("refusals") == {("StaleQueryError",): 2}


async def test_a_node_shows_its_heartbeat_and_the_control_state_that_it_works_with(
    database: Database, numbers: Numbers
) -> None:
    await database.places.insert_one(stored(2, 1))
    store = opened(database, numbers, heartbeat=0.1, dead_after=30.0)
    assert numbers.node("writes") is None
    assert numbers.node("latest_version", kind="place") == 3
    async with store:
        assert numbers.node("writes") == 1
        assert numbers.node("heartbeat_limit_seconds") == 18.0
        assert 0 <= (numbers.node("heartbeat_age_seconds") or 0) < 18.0
        assert numbers.node("write_version", kind="place") == 2
        epoch = numbers.node("control_epoch", kind="place")
        assert epoch is not None

        await Rollouts(database, by="me").advance(KIND)
        await until(lambda: _is(numbers, "write_version", 3, kind="place"))
        assert (numbers.node("control_epoch", kind="place") or 0) > epoch
    assert numbers.node("writes") is None


async def test_a_node_that_nobody_hears_shows_that_it_does_not_write(database: Database, numbers: Numbers) -> None:
    async with opened(database, numbers, heartbeat=0.1, dead_after=1.0) as store:
        vanish(store._member)  # type: ignore[arg-type]
        places = store.collection(KIND)

        await until(lambda: _is(numbers, "writes", 0))
        with pytest.raises(StaleNodeError):
            await places.insert(Place(id=1, name="Oslo"))

        assert (numbers.node("heartbeat_age_seconds") or 0) >= 0.6
        assert numbers.of("refusals") == {("StaleNodeError",): 1}


async def _is(numbers: Numbers, name: str, value: float, **labels: str) -> bool:
    await asyncio.sleep(0)
    return numbers.node(name, **labels) == value


async def test_stores_of_one_service_count_together_and_kinds_apart(database: Database, numbers: Numbers) -> None:
    other = place_kind(latest=2)
    await database.places.insert_many([stored(2, 1)])
    first = opened(database, numbers, fleet=False)
    second = Store(database, [other], service="api", metrics=numbers.metrics, fleet=False)
    third = Store(database, [KIND], service="jobs", metrics=numbers.metrics, fleet=False)

    await first.collection(KIND).get(1)
    await second.collection(other).get(1)
    await third.collection(KIND).get(1)

    name, labels = "docstore_store_rows_read_total", {"kind": "place", "version": "2"}
    assert numbers.registry.get_sample_value(name, {"service": "api", **labels}) == 2
    assert numbers.registry.get_sample_value(name, {"service": "jobs", **labels}) == 1


async def test_no_value_and_no_id_of_a_row_is_shown_whatever_is_stored(database: Database, numbers: Numbers) -> None:
    tags = [1, 2, 3, 10**9, 2**40, -5, 0, "secret", 1.5, None, [3], {"secret": 1}]
    await database.places.insert_many(
        [{**stored(3, f"secret-{place}", name="secret"), "schema_version": tag} for place, tag in enumerate(tags)]
    )
    places = opened(database, numbers, fleet=False).collection(KIND)

    await places.find(on_error="skip").to_list()

    text = generate_latest(numbers.registry).decode()
    assert "secret" not in text
    assert {labels[0] for labels in numbers.of("upgrade_failures")} <= {"1", "2", "3", "newer", "unknown"}
    assert sum(numbers.of("upgrade_failures").values()) + sum(numbers.of("rows_read").values()) == len(tags)


async def test_a_store_without_metrics_has_nothing_of_them_on_its_way(database: Database) -> None:
    plain = Store(database, [KIND], service="api").collection(KIND)

    assert not {"get", "find", "insert", "update", "aggregate"} & vars(plain).keys()
    assert type(plain._writer).__name__ == "ServerRowWriter"
    assert type(plain._reader).__name__ == "RowReader"
    assert not [family for family in REGISTRY.collect() if family.name.startswith("docstore_")]


async def test_changes_that_are_watched_are_rows_that_are_read(database: Database, numbers: Numbers) -> None:
    places = opened(database, numbers, fleet=False).collection(KIND)
    async with places.watch() as changes:
        await database.places.insert_one(stored(2, 1))
        assert (await anext(changes)).id == 1

    assert numbers.of("rows_read") == {("2",): 1}


async def test_the_mock_is_counted_too(mock_database: Any, numbers: Numbers) -> None:
    await mock_database.places.insert_one(stored(1, 1))
    async with opened(mock_database, numbers) as store:
        places = store.collection(KIND)
        place = await places.get(1)
        place.name = "x"
        await places.replace(place)

    assert numbers.of("rows_read") == {("1",): 1}
    assert numbers.of("rows_written") == {("3", "rewrite"): 1}
    assert numbers.node("writes") is None
