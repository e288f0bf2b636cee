"""
The four ways of a query over mixed versions, each where it belongs, and what is told about them.
"""

from typing import Any

import pytest
import structlog
from pydantic import ConfigDict

from docstore import Document, Kind, Step, Store
from docstore import operations as ops
from docstore.core.stale_branch import Way
from docstore.errors import QueryRefusedError, StaleQueryError, UpgradeFailedError
from docstore.store import client_filter
from docstore.store.query import Queries
from docstore.store.rows import RowReader

Row = dict[str, Any]


class Parcel(Document):
    model_config = ConfigDict(extra="allow")


def _label(row: Row) -> Row:
    row["label"] = f"{row['kilos']:03}"
    return row


parcel = Kind(
    "parcel",
    collection="parcels",
    model=Parcel,
    steps=[
        Step(ops.NestFields({"zip": "code"}, into="address"), ops.AddField("state", "new"), to=2),
        Step(ops.ConcatLists("names", "name", "aliases"), to=3),
        Step(upgrade=_label, writes=["label"], to=4),
    ],
)


def _old(number: int, **fields: Any) -> Row:
    return {"_id": number, "schema_version": 1, "zip": f"{number:04}", "name": "a", "kilos": number, **fields}


def _latest(number: int) -> Row:
    return parcel.upgrade(_old(number))


def _queries(database: Any) -> Queries[Parcel]:
    return Queries(database, parcel, RowReader(parcel))


async def _ids(queries: Queries[Parcel], filter: Row, **options: Any) -> list[Any]:
    return [found.id for found in await queries.find(filter, **options).to_list()]


@pytest.fixture
async def half_old(database: Any) -> Any:
    """
    60 rows, every other one at version 1, with the indexes of both shapes and on the tag.
    """
    rows = database["parcels"]
    await rows.insert_many([(_old, _latest)[number % 2](number) for number in range(60)])
    for path in ("zip", "address.code", "schema_version"):
        await rows.create_index(path)
    return database


async def test_a_translated_query_is_served_by_the_indexes_of_both_shapes(half_old: Any) -> None:
    explained = await _queries(half_old).explain({"address.code": {"$in": ["0002", "0003"]}})
    assert explained.way is Way.TRANSLATED
    assert {"zip_1", "address.code_1"} <= set(explained.access)
    assert "COLLSCAN" not in explained.access
    assert [(one.version, one.tag, one.rows, one.way) for one in explained.versions] == [(1, 1, 30, Way.TRANSLATED)]
    assert explained.paths == ("address.code",)


@pytest.mark.parametrize(
    ("filter", "sort", "way"),
    [
        ({"kilos": 3}, [("_id", 1)], Way.AS_STORED),
        ({"address.code": "0003"}, [("kilos", 1)], Way.TRANSLATED),
        ({"state": {"$ne": "new"}}, [], Way.TRANSLATED),
        ({"address.code": "0003"}, [("state", 1)], Way.UPGRADED),
        ({"names": "a"}, [], Way.UPGRADED),
        ({"label": "003"}, [], Way.REFUSED),
        ({}, [("label", 1)], Way.REFUSED),
    ],
)
async def test_the_cheapest_way_is_taken(half_old: Any, filter: Row, sort: list[tuple[str, int]], way: Way) -> None:
    queries = _queries(half_old)
    explained = await queries.explain(filter, sort=sort)
    assert explained.way is way
    assert (explained.server_plan is None) is (way is Way.REFUSED)
    if way is Way.REFUSED:
        assert explained.client_rows == 30
        assert any("backfill" in way_out for way_out in explained.ways_out)
        assert any("allow_client_filter" in way_out for way_out in explained.ways_out)
    else:
        cursor = queries.find(filter, sort=sort)
        await cursor.to_list()
        assert (cursor.way, cursor.client_rows) == (way, 0)


async def test_a_filter_in_the_stored_shape_narrows_what_has_to_be_upgraded(half_old: Any) -> None:
    explained = await _queries(half_old).explain({"address.code": "0002"}, sort=[("address.code", 1)])
    assert explained.way is Way.UPGRADED
    assert "zip_1" in explained.access


async def test_the_client_upgrades_only_where_it_is_allowed_and_says_how_much_first(half_old: Any) -> None:
    queries = _queries(half_old)
    asked = {"label": {"$gte": "055"}}
    with pytest.raises(StaleQueryError) as raised:
        await _ids(queries, asked)
    assert (raised.value.rows, raised.value.versions) == (30, (1,))
    assert any("allow_client_filter" in way_out for way_out in raised.value.ways_out)
    with structlog.testing.capture_logs() as logs:
        cursor = queries.find(asked, allow_client_filter=True)
        first = await anext(cursor)
    assert [(log["event"], log["rows"], log["versions"]) for log in logs] == [("client_filter_begins", 30, [1])]
    assert (cursor.way, cursor.client_rows) == (Way.IN_CLIENT, 30)
    assert sorted([first.id, *(found.id for found in await cursor.to_list())]) == [55, 56, 57, 58, 59]
    assert await queries.count(asked, allow_client_filter=True) == 5
    one = await queries.find_one({"label": "058"}, allow_client_filter=True)
    assert one is not None
    assert one.id == 58


async def test_the_client_reads_only_rows_that_the_rest_of_the_filter_leaves(half_old: Any) -> None:
    queries = _queries(half_old)
    asked = {"label": {"$gte": "000"}, "address.code": {"$lt": "0006"}}
    cursor = queries.find(asked, allow_client_filter=True)
    assert sorted(found.id for found in await cursor.to_list()) == [0, 1, 2, 3, 4, 5]
    assert cursor.client_rows == 3
    assert await _ids(queries, {**asked, "kilos": 3}) == [3]


async def test_order_and_window_go_across_what_the_client_upgrades(
    half_old: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_filter, "PART_ROWS", 7)
    queries = _queries(half_old)
    backwards = {"sort": [("label", -1)], "allow_client_filter": True}
    assert await _ids(queries, {"label": {"$lt": "050"}}, **backwards) == list(range(49, -1, -1))
    assert await _ids(queries, {"label": {"$lt": "050"}}, skip=2, limit=4, **backwards) == [47, 46, 45, 44]
    assert len(await _ids(queries, {"label": {"$lt": "050"}}, skip=45, limit=9, allow_client_filter=True)) == 5
    old = [row_id async for row_id in queries.old_ids({"label": {"$lt": "010"}}, allow_client_filter=True)]
    assert sorted(old) == [0, 2, 4, 6, 8]


async def test_what_the_client_would_have_to_hold_for_a_sort_is_bounded(
    half_old: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_filter, "PART_ROWS", 7)
    monkeypatch.setattr("docstore.store.stale_query.MAX_DECLINED_ROWS", 12)
    queries = _queries(half_old)
    options = {"sort": [("label", 1)], "allow_client_filter": True}
    with pytest.raises(StaleQueryError, match="sorted in Python"):
        await _ids(queries, {}, **options)
    assert await _ids(queries, {}, limit=3, **options) == [0, 1, 2]
    assert len(await _ids(queries, {"label": {"$gte": "000"}}, allow_client_filter=True)) == 60


async def test_many_rows_that_the_server_declines_are_read_where_that_is_allowed(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name that is there already under a null parent: the server does not take such rows, and Python does.
    await database["parcels"].insert_many([_old(number, address=None, zip=None) for number in range(9)])
    await database["parcels"].update_many({}, {"$unset": {"zip": ""}})
    monkeypatch.setattr("docstore.store.stale_query.MAX_DECLINED_ROWS", 5)
    queries = _queries(database)
    asked = {"address": None, "names": "a"}
    with pytest.raises(StaleQueryError, match="upgraded in Python"):
        await queries.count(asked)
    assert await queries.count(asked, allow_client_filter=True) == 9
    cursor = queries.find(asked, allow_client_filter=True)
    assert len(await cursor.to_list()) == 9
    assert (cursor.way, cursor.client_rows) == (Way.IN_CLIENT, 9)


async def test_a_transaction_sorts_what_it_can_ask_in_every_shape(half_old: Any) -> None:
    queries = _queries(half_old)
    asked = {"address.code": {"$lt": "0005"}}
    found: list[Any] = []

    async def work(session: Any) -> None:
        found[:] = await _ids(queries, asked, sort=[("kilos", -1)], session=session)
        assert await queries.count({"label": "003"}, allow_client_filter=True, session=session) == 1

    async with half_old.client.start_session() as session:
        await session.with_transaction(work)
    assert found == [4, 3, 2, 1, 0]


async def test_a_row_that_nobody_can_upgrade_is_raised_where_what_it_holds_matches(half_old: Any) -> None:
    await half_old["parcels"].insert_one(_old(99, zip="9999", address="taken"))
    queries = _queries(half_old)
    assert await _ids(queries, {"address.code": "0003"}) == [3]
    assert await queries.count({"address.code": "0003"}) == 1
    with pytest.raises(UpgradeFailedError):
        await _ids(queries, {"address.code": "9999"})
    with pytest.raises(UpgradeFailedError):
        await queries.count({"address.code": "9999"})
    cursor = queries.find({"address.code": "9999"}, on_error="skip")
    assert await cursor.to_list() == []
    assert [skipped.id for skipped in cursor.skipped] == [99]


async def test_an_old_row_that_cannot_match_is_not_matched_as_it_is_stored(database: Any) -> None:
    steps = [Step(ops.RemoveField("box"), to=2), Step(upgrade=_label, writes=["label"], to=3)]
    kind = Kind("parcel", collection="parcels", model=Parcel, steps=steps)
    await database["parcels"].insert_one(_old(1, box=1))
    queries = Queries(database, kind, RowReader(kind))
    assert await _ids(queries, {"box": 1, "label": {"$ne": "x"}}) == []
    assert await queries.count({"box": 1, "label": {"$ne": "x"}}) == 0
    assert [row_id async for row_id in queries.old_ids({"box": 1, "label": {"$ne": "x"}})] == []
    with pytest.raises(StaleQueryError):
        await queries.count({"box": None, "label": {"$ne": "x"}})


async def test_nothing_is_paid_once_nothing_old_is_left(half_old: Any) -> None:
    await half_old["parcels"].delete_many({"schema_version": 1})
    explained = await _queries(half_old).explain({"label": "003", "address.code": "0003"})
    assert (explained.way, explained.versions) == (Way.AS_STORED, ())
    assert explained.access == ("address.code_1",)


async def test_a_collection_explains_and_filters_in_the_client(half_old: Any) -> None:
    async with Store(half_old, kinds=[parcel], service="tests", fleet=False) as store:
        parcels = store.collection(parcel)
        explained = await parcels.explain({"label": "003"}, allow_client_filter=True)
        assert (explained.way, explained.client_rows) == (Way.IN_CLIENT, 30)
        assert await parcels.count({"label": "004"}, allow_client_filter=True) == 1
        found = await parcels.find_one({"label": "004"}, allow_client_filter=True)
        assert found is not None
        with pytest.raises(QueryRefusedError):
            await parcels.explain({"schema_version": 1})


async def test_a_write_announces_once_what_the_client_reads_for_it(half_old: Any) -> None:
    asked = {"label": {"$lt": "050"}}
    async with Store(half_old, kinds=[parcel], service="tests", fleet=False) as store:
        parcels = store.collection(parcel)
        with structlog.testing.capture_logs() as logs:
            assert await parcels.delete_many({**asked, "kilos": {"$gte": 30}}, allow_client_filter=True) == 20
        assert [log["rows"] for log in logs if log["event"] == "client_filter_begins"] == [15, 5]
        with structlog.testing.capture_logs() as logs:
            result = await parcels.update_many(asked, {"$set": {"state": "sent"}}, allow_client_filter=True)
        assert (result.matched, result.modified) == (30, 30)
        assert [log["rows"] for log in logs if log["event"] == "client_filter_begins"] == [20]
        assert await half_old["parcels"].count_documents({"schema_version": 1}) == 5


async def test_the_mock_refuses_and_allows_as_a_server_does(mock_database: Any) -> None:
    await mock_database["parcels"].insert_many([(_old, _latest)[number % 2](number) for number in range(10)])
    queries = _queries(mock_database)
    with pytest.raises(StaleQueryError):
        await queries.count({"label": "002"})
    cursor = queries.find({"label": "002"}, allow_client_filter=True)
    assert [found.id for found in await cursor.to_list()] == [2]
    assert (cursor.way, cursor.client_rows) == (Way.IN_CLIENT, 5)
    explained = await queries.explain({"address.code": "0002"})
    assert (explained.way, explained.server_plan) == (Way.TRANSLATED, None)
    assert [(one.version, one.rows) for one in explained.versions] == [(1, 5)]
