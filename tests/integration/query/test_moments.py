"""
What a query over mixed versions reads in: snapshots, the user's sessions and transactions, and servers without them.
"""

import inspect
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.embedded import find_mongod
from docstore.errors import StaleQueryError, UpgradeFailedError
from docstore.store import stale_query
from docstore.store.query import Queries
from docstore.store.rows import RowReader

Row = dict[str, Any]


class Coin(Document):
    worth: Any
    note: str = ""


def _double(row: Mapping[str, Any]) -> int:
    return int(row["value"]) * 2


#: Rows whose value is not an int take the Python path.
coin = Kind(
    "coin",
    collection="coins",
    model=Coin,
    steps=[
        Step(
            ops.Compute(
                "worth",
                {"$multiply": ["$value", 2]},
                _double,
                requires={"$eq": [{"$type": "$value"}, "int"]},
            ),
            to=2,
        )
    ],
)


def _old(number: int, **fields: Any) -> Row:
    return {"_id": number, "value": number, **fields}


def _latest(number: int, **fields: Any) -> Row:
    return {"_id": number, "value": number, "worth": number * 2, **fields, "schema_version": 2}


def _queries(database: Any) -> Queries[Coin]:
    return Queries(database, coin, RowReader(coin))


async def _ids(queries: Queries[Coin], filter: Row, **options: Any) -> list[Any]:
    return [found.id for found in await queries.find(filter, **options).to_list()]


async def _session(database: Any, **options: Any) -> Any:
    session = database.client.start_session(**options)
    return await session if inspect.isawaitable(session) else session


async def test_a_transaction_sees_its_own_writes_in_a_query_over_mixed_versions(server_database: Any) -> None:
    coins = server_database["coins"]
    await coins.insert_many([_old(1), _old(2), _latest(3), _old(9, value="9")])
    queries = _queries(server_database)
    seen: Row = {}

    async def work(session: Any) -> None:
        await coins.insert_one(_old(4), session=session)
        await coins.delete_one({"_id": 1}, session=session)
        asked = {"worth": {"$gt": 2}}
        seen["found"] = sorted(await _ids(queries, asked, session=session))
        seen["some"] = await _ids(queries, asked, skip=1, limit=2, session=session)
        seen["none left"] = await _ids(queries, asked, skip=4, session=session)
        seen["count"] = await queries.count(asked, session=session)
        seen["old"] = sorted([row_id async for row_id in queries.old_ids(asked, session=session)])
        seen["first"] = [row_id async for row_id in queries.old_ids(asked, limit=1, session=session)]
        seen["sorted"] = await _ids(queries, asked, sort=[("worth", -1)], session=session)
        seen["part"] = await _ids(queries, asked, sort=[("worth", 1)], skip=1, limit=2, session=session)

    async with await _session(server_database) as session:
        await session.with_transaction(work)
    assert seen["found"] == [2, 3, 4, 9]
    assert (seen["sorted"], seen["part"]) == ([9, 4, 3, 2], [3, 4])
    assert len(seen["some"]) == 2
    assert set(seen["some"]) < {2, 3, 4, 9}
    assert seen["none left"] == []
    assert seen["count"] == 4
    assert seen["old"] == [2, 4, 9]
    assert len(seen["first"]) == 1


async def test_a_transaction_may_sort_where_nothing_old_is_stored(server_database: Any) -> None:
    await server_database["coins"].insert_many([_latest(1), _latest(2)])
    found: list[Any] = []

    async def work(session: Any) -> None:
        found[:] = await _ids(_queries(server_database), {}, sort=[("worth", -1)], session=session)

    async with await _session(server_database) as session:
        await session.with_transaction(work)
    assert found == [2, 1]


async def test_a_snapshot_session_of_the_users_is_the_moment(server_database: Any) -> None:
    coins = server_database["coins"]
    await coins.insert_many([_old(1), _latest(2)])
    queries = _queries(server_database)
    async with await _session(server_database, snapshot=True) as session:
        assert await queries.count({"worth": {"$gt": 0}}, session=session) == 2
        await coins.insert_many([_old(3), _latest(4)])
        assert sorted(await _ids(queries, {"worth": {"$gt": 0}}, session=session)) == [1, 2]
    assert await queries.count({"worth": {"$gt": 0}}) == 4


async def test_a_causal_session_sees_what_it_wrote(server_database: Any) -> None:
    quick = server_database["coins"].with_options(write_concern=WriteConcern(w=1))
    queries = _queries(server_database)
    async with await _session(server_database, causal_consistency=True) as session:
        for number in range(5):
            await quick.insert_one(_old(number), session=session)
            assert await queries.count({"worth": number * 2}, session=session) == 1


async def test_writes_that_one_member_acknowledged_are_seen_where_that_is_the_databases_way(client: Any) -> None:
    name = "test_written_by_one"
    database = client.get_database(name, write_concern=WriteConcern(w=1))
    await database.drop_collection("coins")
    queries = _queries(database)
    for number in range(5):
        await database["coins"].insert_one(_old(number))
        assert await queries.count({"worth": number * 2}) == 1
    await client.drop_database(name)


async def test_a_cursor_reads_the_moment_at_which_it_began(database: AsyncDatabase[Row]) -> None:
    coins = database["coins"]
    await coins.insert_many([_old(number) for number in range(300)])
    cursor = _queries(database).find({"worth": {"$gte": 0}}, sort=[("worth", 1)])
    first = await anext(cursor)
    await coins.delete_many({})
    assert first.id == 0
    assert [found.id for found in await cursor.to_list()] == list(range(1, 300))


async def test_rows_that_python_upgrades_have_a_bound(
    database: AsyncDatabase[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["coins"].insert_many([_old(number, value=str(number)) for number in range(8)] + [_old(9)])
    queries = _queries(database)
    assert await queries.count({"worth": {"$gte": 0}}) == 9
    monkeypatch.setattr(stale_query, "MAX_DECLINED_ROWS", 7)
    with pytest.raises(StaleQueryError) as raised:
        await queries.count({"worth": {"$gte": 0}})
    assert raised.value.rows == 8
    assert "Python" in raised.value.reason
    assert await queries.count({"worth": {"$gte": 0}, "_id": {"$lt": 5}}) == 5
    monkeypatch.setattr(stale_query, "MAX_DECLINED_ROWS", 100)
    monkeypatch.setattr(stale_query, "MAX_DECLINED_BYTES", 100)
    with pytest.raises(StaleQueryError):
        await queries.count({"worth": {"$gte": 0}})


async def test_large_rows_pass_with_their_stored_form_beside(database: AsyncDatabase[Row]) -> None:
    filling = "x" * (15 * 1024 * 1024)
    await database["coins"].insert_one(_old(1, note=filling))
    await database["coins"].insert_one(_latest(2, note=filling))
    found = await _queries(database).find({"worth": {"$gt": 0}}, sort=[("worth", -1)]).to_list()
    assert [(one.id, len(one.note)) for one in found] == [(2, len(filling)), (1, len(filling))]


async def test_a_collection_with_a_collation_compares_as_it_says_and_upgrades_as_python_says(
    server_database: Any,
) -> None:
    await server_database.create_collection("coins", collation={"locale": "en", "strength": 2})
    steps = [Step(ops.MapValues("note", {"a": "low", "A": "high"}, other="keep"), to=2)]
    kind = Kind("coin", collection="coins", model=Coin, steps=steps)
    rows = [{"_id": 1, "note": "a", "worth": 1}, {"_id": 2, "note": "A", "worth": 1}]
    await server_database["coins"].insert_many([*rows, {"_id": 3, "note": "HIGH", "worth": 1, "schema_version": 2}])
    queries = Queries(server_database, kind, RowReader(kind))
    assert sorted(await _ids(queries, {"note": "high"})) == [2, 3]
    assert await _ids(queries, {"note": "LOW"}) == [1]


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """
    The URI of a mongod that is no replica set.
    """
    folder = tmp_path_factory.mktemp("standalone")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--dbpath", str(folder), "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket", "--quiet"]
    with subprocess.Popen([str(find_mongod()), *options], stdout=subprocess.DEVNULL) as process:
        for _ in range(600):
            # The driver would be asked too early: it leaves a socket open for each connection that is refused.
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=20000"
        process.kill()


@pytest.fixture
async def standalone_database(standalone: str, database_name: str) -> AsyncIterator[AsyncDatabase[Row]]:
    async with AsyncMongoClient[Row](standalone) as client:
        yield client[database_name]


async def test_a_standalone_server_answers_while_nothing_old_is_stored(
    standalone_database: AsyncDatabase[Row],
) -> None:
    coins = standalone_database["coins"]
    queries = _queries(standalone_database)
    await coins.insert_one(_latest(1))
    assert await _ids(queries, {"worth": 2}) == [1]
    assert await queries.count({"worth": 2}) == 1
    assert [row_id async for row_id in queries.old_ids({"worth": 2})] == []
    await coins.insert_one(_old(2))
    assert await _ids(queries, {"note": {"$exists": False}}, sort=[("_id", 1)]) == [1, 2]
    with pytest.raises(StaleQueryError, match="standalone") as raised:
        await _ids(queries, {"worth": 2})
    assert (raised.value.rows, raised.value.versions) == (1, (1,))


async def test_a_standalone_server_whose_writes_are_acknowledged_by_one_member_answers_too(
    standalone: str, standalone_database: AsyncDatabase[Row]
) -> None:
    async with AsyncMongoClient[Row](f"{standalone}&w=1") as client:
        database = client[standalone_database.name]
        await database["coins"].insert_one(_latest(1))
        assert await _queries(database).count({"worth": 2}) == 1


async def test_declined_rows_that_python_refuses_too_are_raised(server_database: Any) -> None:
    await server_database["coins"].insert_many([_old(1), _old(2, value="two")])
    queries = _queries(server_database)
    with pytest.raises(UpgradeFailedError) as raised:
        await _ids(queries, {"worth": 2})
    assert raised.value.id == 2
    assert "two" not in str(raised.value)


async def test_a_sort_in_a_transaction_reads_whole_rows_in_the_order_of_the_rewritten_collection(
    server_database: Any,
) -> None:
    rows = [_old(each, value=str(each * 37 % 101)) for each in range(150)]
    rows += [_latest(1000 + each) for each in range(150)]
    await server_database["coins"].insert_many(rows)
    queries = _queries(server_database)
    outside = [one.model_dump() for one in await queries.find({}, sort=[("worth", 1), ("_id", 1)]).to_list()]
    within: list[Any] = []

    async def work(session: Any) -> None:
        found = await queries.find({}, sort=[("worth", 1), ("_id", 1)], session=session).to_list()
        within[:] = [one.model_dump() for one in found]

    async with await _session(server_database) as session:
        await session.with_transaction(work)
    assert within == outside
    assert len(within) == 300
