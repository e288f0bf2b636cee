"""
Pipelines over rows that only functions can upgrade, where the caller allows that the client reads them.
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable
from typing import Any

import pytest
from pydantic import ConfigDict
from structlog.testing import capture_logs

from docstore import Collection, Document, Kind, Step, Store
from docstore import operations as ops
from docstore.core.residue import RESIDUE
from docstore.core.stale_branch import Way
from docstore.errors import StaleQueryError, UpgradeFailedError
from docstore.mongo.residue_index import ResidueIndex
from docstore.store import aggregating_in_client, client_filter, joining_in_client, upgrading_sides


class Loose(Document):
    model_config = ConfigDict(extra="allow")


def _shout(row: dict[str, Any]) -> dict[str, Any]:
    row["loud"] = row["town"].upper()
    return row


noisy = Kind(
    "noisy",
    collection="noises",
    model=Loose,
    steps=[Step(upgrade=_shout, writes=["loud"], to=2), Step(ops.RenameField("loud", "noise"), to=3)],
)


def _hush(row: dict[str, Any]) -> dict[str, Any]:
    del row["loud"]
    return row


marked = Kind(
    "marked",
    collection="noises",
    model=Loose,
    steps=[
        Step(upgrade=_shout, downgrade=_hush, writes=["loud"], to=2),
        Step(ops.AddField("status", "new"), to=3),
    ],
)
listener = Kind("listener", collection="listeners", model=Loose, steps=[Step(ops.RenameField("who", "hears"), to=2)])


def _noises(database: Any) -> Collection[Loose]:
    return Store(database, kinds=[noisy, listener], service="tests").collection(noisy)


def _row(number: int, version: int = 1, town: str = "a") -> dict[str, Any]:
    return noisy.upgrade({"_id": number, "town": town, "schema_version": 1}, to=version)


async def _fill(database: Any, rows: int = 30) -> None:
    await database["noises"].insert_many([_row(number, number % 3 + 1, "abc"[number % 3]) for number in range(rows)])


async def _result(collection: Collection[Any], pipeline: list[Any], **options: Any) -> list[dict[str, Any]]:
    return await (await collection.aggregate(pipeline, allow_client_filter=True, **options)).to_list()


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read rows by the client in parts of three, however few there are."""
    monkeypatch.setattr(upgrading_sides, "MAX_DECLINED_ROWS", 0)
    monkeypatch.setattr(client_filter, "PART_ROWS", 3)


async def test_what_functions_make_is_grouped_with_the_rest(any_database: Any) -> None:
    await _fill(any_database)
    grouped: list[Any] = [{"$group": {"_id": "$noise", "rows": {"$sum": 1}}}, {"$sort": {"_id": 1}}]
    noises = _noises(any_database)
    with capture_logs() as logs:
        cursor = await noises.aggregate(grouped, allow_client_filter=True)
        assert await cursor.to_list() == [{"_id": letter, "rows": 10} for letter in "ABC"]
    assert (cursor.way, cursor.client_rows) == (Way.IN_CLIENT, 10)
    told = [entry for entry in logs if entry["event"] == "client_filter_begins"]
    # The mock holds everything in memory anyway.
    assert [(entry["rows"], entry["kind"]) for entry in told] in ([(10, "noisy")], [])


@pytest.mark.usefixtures("few_at_once")
async def test_rows_are_read_part_by_part_and_their_number_is_told_first(server_database: Any) -> None:
    await _fill(server_database)
    noises = _noises(server_database)
    pipelines: list[tuple[list[Any], list[Any]]] = [
        (
            [{"$match": {"noise": "A"}}, {"$project": {"noise": 1}}],
            [{"_id": number, "noise": "A"} for number in range(0, 30, 3)],
        ),
        ([{"$group": {"_id": "$noise", "rows": {"$sum": 1}}}], [{"_id": letter, "rows": 10} for letter in "ABC"]),
        ([{"$sort": {"noise": 1, "_id": -1}}, {"$skip": 1}, {"$limit": 2}, {"$project": {"_id": 1}}], [24, 21]),
        ([{"$match": {"noise": {"$in": ["A", "B"]}}}, {"$limit": 4}, {"$count": "rows"}], [{"rows": 4}]),
    ]
    for pipeline, expected in pipelines:
        with capture_logs() as logs:
            cursor = await noises.aggregate(pipeline, allow_client_filter=True)
            found = await cursor.to_list()
        if expected == [24, 21]:
            assert [row["_id"] for row in found] == expected
        else:
            assert sorted(found, key=repr) == sorted(expected, key=repr)
        (told,) = [entry for entry in logs if entry["event"] == "client_filter_begins"]
        assert told["rows"] == cursor.client_rows == 10
        assert cursor.way is Way.IN_CLIENT


@pytest.mark.usefixtures("few_at_once")
async def test_what_has_to_be_held_is_bounded_and_refused_by_the_stage(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aggregating_in_client, "HELD_BYTES", 300)
    await _fill(database)
    noises = _noises(database)
    with pytest.raises(StaleQueryError, match="what the stages before \\$sort make") as refused:
        await _result(noises, [{"$sort": {"noise": 1}}])
    assert refused.value.rows == 10
    # What is narrowed, limited or streamed fits.
    assert len(await _result(noises, [{"$match": {"_id": {"$lt": 6}}}, {"$sort": {"noise": 1}}])) == 6
    assert len(await _result(noises, [{"$sort": {"noise": 1}}, {"$limit": 2}])) == 2
    assert len(await _result(noises, [])) == 30


@pytest.mark.parametrize("part_rows", [0, 1000])
async def test_what_rows_keep_beside_their_shape_is_there_at_latest_and_the_residue_is_shown_to_nobody(
    server_database: Any, monkeypatch: pytest.MonkeyPatch, part_rows: int
) -> None:
    monkeypatch.setattr(upgrading_sides, "MAX_DECLINED_ROWS", part_rows)
    await ResidueIndex(server_database, marked).require()
    at_latest = [
        {"_id": number, "town": "ab"[number % 2], "schema_version": 3, "loud": "AB"[number % 2], "status": status}
        for number, status in enumerate(["sold", "new", "sold", "kept"])
    ]
    lowered = [marked.lower(row, to=version) for row, version in zip(at_latest, [1, 1, 2, 2], strict=True)]
    assert [RESIDUE in row for row in lowered] == [True, False, True, True]
    # One that a newer release has lowered: what it keeps of versions above is no business of this one.
    above = {"_id": 9, "town": "a", "schema_version": 3, "loud": "A", "status": "new", RESIDUE: {"4": {}}}
    await server_database["noises"].insert_many([*lowered, above])
    rows = Store(server_database, kinds=[marked], service="tests").collection(marked)

    async def result(pipeline: list[Any]) -> list[dict[str, Any]]:
        return await (await rows.aggregate(pipeline, allow_client_filter=True)).to_list()

    assert sorted(await result([{"$match": {"status": "sold", "loud": "A"}}, {"$project": {"_id": 1}}]), key=repr) == [
        {"_id": 0},
        {"_id": 2},
    ]
    grouped = await result([{"$group": {"_id": {"loud": "$loud", "status": "$status"}, "rows": {"$sum": 1}}}])
    assert Counter({(each["_id"]["loud"], each["_id"]["status"]): each["rows"] for each in grouped}) == Counter(
        {("A", "sold"): 2, ("B", "new"): 1, ("B", "kept"): 1, ("A", "new"): 1}
    )
    del above[RESIDUE]
    whole = sorted(await result([]), key=lambda row: int(row["_id"]))
    assert [dict(sorted(row.items())) for row in whole] == [dict(sorted(row.items())) for row in [*at_latest, above]]


async def test_a_row_that_no_step_can_upgrade_is_raised_or_left_out(server_database: Any) -> None:
    await _fill(server_database, 6)
    await server_database["noises"].insert_one({"_id": 9, "schema_version": 1})
    noises = _noises(server_database)
    with pytest.raises(UpgradeFailedError):
        await _result(noises, [{"$match": {"noise": "A"}}])
    cursor = await noises.aggregate([{"$match": {"noise": "A"}}], allow_client_filter=True, on_error="skip")
    assert {row["_id"] for row in await cursor.to_list()} == {0, 3}
    assert [row.id for row in cursor.skipped] == [9]


async def test_the_refusal_names_the_option_where_it_helps_and_only_there(database: Any) -> None:
    await _fill(database)
    noises = _noises(database)
    with pytest.raises(StaleQueryError) as refused:
        await (await noises.aggregate([{"$match": {"noise": "A"}}])).to_list()
    assert any("allow_client_filter=True" in way_out for way_out in refused.value.ways_out)
    joined = {"$lookup": {"from": "noises", "localField": "hears", "foreignField": "_id", "as": "noises"}}
    with pytest.raises(StaleQueryError) as refused:
        await (await _listeners(database).aggregate([joined])).to_list()
    assert refused.value.kind == "noisy"
    assert any("allow_client_filter=True" in way_out for way_out in refused.value.ways_out)
    near: dict[str, Any] = {"near": {"type": "Point", "coordinates": [0, 0]}, "distanceField": "far"}
    with pytest.raises(StaleQueryError) as refused:
        await _result(noises, [{"$geoNear": near}])
    assert not any("allow_client_filter" in way_out for way_out in refused.value.ways_out)


def _listeners(database: Any) -> Collection[Loose]:
    return Store(database, kinds=[noisy, listener], service="tests", fleet=False).collection(listener)


LOOKUP: dict[str, Any] = {"from": "noises", "as": "noises"}
JOINS: dict[str, tuple[list[Any], list[Any]]] = {
    "by the id": (
        [{"$lookup": {**LOOKUP, "localField": "hears", "foreignField": "_id"}}],
        [(1, [(0, "A")]), (2, [(4, "B")])],
    ),
    "by what a function made": (
        [{"$lookup": {**LOOKUP, "localField": "likes", "foreignField": "noise"}}],
        [(1, [(2, "C"), (5, "C")]), (2, [])],
    ),
    "by an expression": (
        [
            {
                "$lookup": {
                    **LOOKUP,
                    "let": {"likes": "$likes", "dsGiven": 1},
                    "pipeline": [{"$match": {"$expr": {"$eq": ["$noise", "$$likes"]}}}, {"$limit": 9}],
                }
            }
        ],
        [(1, [(2, "C"), (5, "C")]), (2, [])],
    ),
    "of all": (
        [{"$lookup": {**LOOKUP, "pipeline": [{"$match": {"noise": "B"}}, {"$project": {"noise": 1}}]}}],
        [(1, [(1, "B"), (4, "B")]), (2, [(1, "B"), (4, "B")])],
    ),
    "within a join": (
        [
            {
                "$lookup": {
                    "from": "listeners",
                    "localField": "_id",
                    "foreignField": "_id",
                    "as": "self",
                    "pipeline": [{"$lookup": {**LOOKUP, "localField": "hears", "foreignField": "_id"}}],
                }
            },
            {"$set": {"noises": {"$first": "$self.noises"}}},
        ],
        [(1, [(0, "A")]), (2, [(4, "B")])],
    ),
    "as a graph": (
        [
            {
                "$graphLookup": {
                    **LOOKUP,
                    "startWith": "$hears",
                    "connectFromField": "town",
                    "connectToField": "_id",
                    "depthField": "depth",
                }
            }
        ],
        [(1, [(0, "A")]), (2, [(4, "B")])],
    ),
}


@pytest.mark.parametrize("place", ["outside", "in a transaction"])
@pytest.mark.parametrize("name", JOINS)
async def test_joined_rows_that_functions_upgrade_are_joined_where_the_client_may_read_them(
    database: Any, name: str, place: str
) -> None:
    pipeline, expected = JOINS[name]
    await _fill(database, 6)
    await database["listeners"].insert_many(
        [{"_id": 1, "who": 0, "likes": "C"}, {"_id": 2, "hears": 4, "likes": "X", "schema_version": 2}]
    )

    async def found(session: Any = None) -> list[Any]:
        with capture_logs() as logs:
            cursor = await _listeners(database).aggregate(pipeline, allow_client_filter=True, session=session)
            rows = await cursor.to_list()
        assert [(log["event"], log["kind"], log["rows"]) for log in logs] == [("client_filter_begins", "noisy", 2)]
        assert (cursor.way, cursor.client_rows) == (Way.IN_CLIENT, 2)
        return sorted((row["_id"], sorted((each["_id"], each["noise"]) for each in row["noises"])) for row in rows)

    if place == "outside":
        assert await found() == expected
    else:
        async with database.client.start_session() as session, await session.start_transaction():
            assert await found(session) == expected
    told = await _listeners(database).explain_pipeline(pipeline, allow_client_filter=True)
    assert (told.way, told.client_rows) == (Way.IN_CLIENT, 2)


async def test_rows_of_a_union_are_upgraded_by_the_client_too(server_database: Any) -> None:
    await _fill(server_database, 6)
    await server_database["listeners"].insert_one({"_id": "l", "noise": "A"})
    union: list[Any] = [{"$unionWith": {"coll": "noises"}}, {"$match": {"noise": "A"}}, {"$project": {"_id": 1}}]
    found = await _result(_listeners(server_database), union)
    assert sorted(str(row["_id"]) for row in found) == ["0", "3", "l"]


async def test_more_joined_rows_than_can_be_sent_along_are_refused_with_their_number(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _fill(database, 30)
    await database["listeners"].insert_one({"_id": 1, "hears": 0, "schema_version": 2})
    joined = {**LOOKUP, "localField": "hears", "foreignField": "_id"}
    monkeypatch.setattr(joining_in_client, "JOINED_BYTES", 500)
    with pytest.raises(StaleQueryError, match="joined") as refused:
        await _result(_listeners(database), [{"$lookup": joined}])
    assert (refused.value.kind, refused.value.rows) == ("noisy", 10)
    assert not any("allow_client_filter" in way_out for way_out in refused.value.ways_out)
    # What a join does not look at is not sent.
    narrow = {**joined, "pipeline": [{"$project": {"noise": 1}}]}
    (found,) = await _result(_listeners(database), [{"$lookup": narrow}])
    assert found["noises"] == [{"_id": 0, "noise": "A"}]
    with pytest.raises(StaleQueryError, match="joined"):
        await _result(_listeners(database), [{"$lookup": narrow}, {"$lookup": narrow}])


async def test_a_joined_row_that_no_step_can_upgrade_is_raised(database: Any) -> None:
    await database["noises"].insert_one({"_id": 0, "schema_version": 1})
    await database["listeners"].insert_one({"_id": 1, "hears": 0, "schema_version": 2})
    joined = {"$lookup": {**LOOKUP, "localField": "hears", "foreignField": "_id"}}
    with pytest.raises(UpgradeFailedError):
        await _result(_listeners(database), [joined])


async def test_joined_rows_are_refused_where_ids_cannot_be_told_apart(database: Any) -> None:
    await database.create_collection("listeners", collation={"locale": "en", "strength": 2})
    await _fill(database, 6)
    await database["listeners"].insert_one({"_id": 1, "hears": 0, "schema_version": 2})
    with pytest.raises(StaleQueryError, match="rules of its own"):
        await _result(_listeners(database), [{"$lookup": {**LOOKUP, "localField": "hears", "foreignField": "_id"}}])


async def test_what_functions_do_not_write_needs_no_client(any_database: Any) -> None:
    await _fill(any_database)
    cursor = await _noises(any_database).aggregate([{"$match": {"town": "a"}}, {"$count": "rows"}])
    assert await cursor.to_list() == [{"rows": 10}]
    assert (cursor.way, cursor.client_rows) == (Way.AS_STORED, 0)


@pytest.mark.parametrize("at_once", [0, 1000])
async def test_a_transaction_takes_every_pipeline_over_what_functions_make(
    server_database: Any, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(upgrading_sides, "MAX_DECLINED_ROWS", at_once)
    monkeypatch.setattr(client_filter, "PART_ROWS", 3)
    await _fill(server_database)
    await server_database["noises"].insert_one({"_id": 99, "schema_version": 1})
    noises = _noises(server_database)
    asked: list[tuple[list[Any], list[Any]]] = [
        ([{"$match": {"noise": "A"}}, {"$project": {"_id": 1}}], [{"_id": number} for number in range(0, 30, 3)]),
        ([{"$match": {"noise": "A"}}, {"$count": "rows"}], [{"rows": 10}]),
        (
            [{"$group": {"_id": "$noise", "rows": {"$sum": 1}}}, {"$sort": {"_id": 1}}],
            [{"_id": letter, "rows": 10} for letter in "ABC"],
        ),
        ([{"$sort": {"noise": -1, "_id": 1}}, {"$limit": 2}, {"$project": {"_id": 1}}], [{"_id": 2}, {"_id": 5}]),
        ([{"$match": {"noise": "none"}}, {"$sort": {"_id": 1}}], []),
    ]
    opened = server_database.client.start_session()
    session = await opened if isinstance(opened, Awaitable) else opened
    begun = session.start_transaction()
    if isinstance(begun, Awaitable):
        await begun
    for pipeline, expected in asked:
        cursor = await noises.aggregate(pipeline, allow_client_filter=True, on_error="skip", session=session)
        assert sorted(await cursor.to_list(), key=repr) == sorted(expected, key=repr)
        assert [row.id for row in cursor.skipped] == [99]
        assert (cursor.way, cursor.client_rows) == (Way.IN_CLIENT, 11)
    await session.abort_transaction()
    await session.end_session()


async def test_how_a_pipeline_is_answered_is_told_without_reading_a_row(any_database: Any) -> None:
    await _fill(any_database)
    noises = _noises(any_database)
    ways: list[tuple[list[Any], bool, Way, int]] = [
        ([{"$match": {"town": "a"}}, {"$count": "rows"}], False, Way.AS_STORED, 0),
        ([{"$match": {"noise": "A"}}], False, Way.REFUSED, 20),
        ([{"$match": {"noise": "A"}}], True, Way.IN_CLIENT, 10),
    ]
    with capture_logs() as logs:
        for pipeline, allowed, way, rows in ways:
            told = await noises.explain_pipeline(pipeline, allow_client_filter=allowed)
            assert (told.kind, told.way, told.client_rows) == ("noisy", way, rows)
            assert bool(told.ways_out) is (way is Way.REFUSED)
    assert logs == []


async def test_the_explanation_of_a_pipeline_has_versions_and_plan(database: Any) -> None:
    await _fill(database)
    await database["noises"].create_index("town")
    noises = _noises(database)
    told = await noises.explain_pipeline([{"$match": {"town": "a", "noise": "A"}}], allow_client_filter=True)
    assert [(each.version, each.rows, each.way) for each in told.versions] == [
        (1, 10, Way.IN_CLIENT),
        (2, 10, Way.UPGRADED),
    ]
    assert told.access == ("town_1",)
    assert told.paths
    refused = await noises.explain_pipeline([{"$match": {"noise": "A"}}])
    assert [(each.version, each.way) for each in refused.versions] == [(1, Way.REFUSED), (2, Way.REFUSED)]
    await database["noises"].delete_many({"schema_version": {"$lt": 3}})
    assert (await noises.explain_pipeline([{"$match": {"noise": "A"}}])).way is Way.AS_STORED


@pytest.mark.usefixtures("few_at_once")
async def test_every_row_takes_part_exactly_once_while_rows_move_between_versions(server_database: Any) -> None:
    stable = 30
    rows = server_database["noises"]
    await rows.insert_many([_row(number) for number in range(stable)])
    moved: Counter[str] = Counter()

    async def move() -> None:
        rng = random.Random(1)
        for version in itertools.cycle([2, 3, 1]):
            for number in rng.sample(range(stable), stable):
                await rows.replace_one({"_id": number}, _row(number, version))
                moved["rows"] += 1

    noises = _noises(server_database)
    asked = 0
    moving = asyncio.create_task(move())
    while asked < 12 or moved["rows"] < 3 * stable:
        found = await _result(noises, [{"$match": {"noise": "A"}}, {"$project": {"noise": 1}}])
        assert sorted(row["_id"] for row in found) == list(range(stable))
        assert await _result(noises, [{"$group": {"_id": "$noise", "rows": {"$sum": 1}}}]) == [
            {"_id": "A", "rows": stable}
        ]
        asked += 1
    moving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await moving


async def test_a_few_rows_that_the_server_declines_are_no_way_of_their_own(database: Any) -> None:
    lower = ops.Compute("lower", {"$toLower": "$a"}, lambda row: row["a"].lower(), requires={"$eq": ["$a", "A"]})
    kind = Kind("sized", collection="sizes", model=Loose, steps=[Step(lower, to=2)])
    await database["sizes"].insert_many([{"_id": 1, "a": "A"}, {"_id": 2, "a": "\u00c4"}])
    sizes = Store(database, kinds=[kind], service="tests").collection(kind)
    for allowed in (False, True):
        told = await sizes.explain_pipeline([{"$match": {"lower": "a"}}], allow_client_filter=allowed)
        cursor = await sizes.aggregate([{"$match": {"lower": "a"}}], allow_client_filter=allowed)
        assert [row["_id"] for row in await cursor.to_list()] == [1]
        assert (told.way, told.client_rows) == (cursor.way, cursor.client_rows) == (Way.UPGRADED, 0)


def _print(row: dict[str, Any]) -> dict[str, Any]:
    row["printed"] = row["letter"] * 60_000
    return row


printed = Kind("printed", collection="prints", model=Loose, steps=[Step(upgrade=_print, writes=["printed"], to=2)])


async def test_rows_that_a_function_makes_larger_than_a_command_are_taken_all_the_same(database: Any) -> None:
    """
    300 rows of a few bytes, and 18 MB at latest.
    """
    await database["prints"].insert_many(
        [{"_id": number, "letter": "ab"[number % 2], "schema_version": 1} for number in range(300)]
    )
    prints = Store(database, kinds=[printed], service="tests").collection(printed)
    asked = {"printed": {"$regex": "^a"}}
    assert await prints.count(asked, allow_client_filter=True) == 150
    found = [each.id async for each in prints.find(asked, allow_client_filter=True)]
    assert sorted(found) == list(range(0, 300, 2))
    first = prints.find(asked, sort=[("printed", 1), ("_id", -1)], limit=2, allow_client_filter=True)
    assert [each.id for each in await first.to_list()] == [298, 296]
    grouped: list[Any] = [{"$match": asked}, {"$group": {"_id": {"$strLenBytes": "$printed"}, "rows": {"$sum": 1}}}]
    with pytest.raises(StaleQueryError, match="more than 4 MB"):
        await _result(prints, grouped)
    short: list[Any] = [{"$match": asked}, {"$project": {"size": {"$strLenBytes": "$printed"}}}]
    assert await _result(prints, [*short, {"$group": {"_id": "$size", "rows": {"$sum": 1}}}]) == [
        {"_id": 60_000, "rows": 150}
    ]
    assert sorted(row["_id"] for row in await _result(prints, [{"$match": asked}])) == list(range(0, 300, 2))


texts = Kind(
    "text",
    collection="texts",
    model=Loose,
    steps=[Step(ops.ConcatLists("words", "word", "others", unique=True), ops.AddField("notice", "x" * 60_000), to=2)],
)


async def test_declined_rows_that_become_larger_than_a_command_are_refused_or_left_to_the_client(database: Any) -> None:
    """
    A collation makes the server decline every old row.
    """
    await database.create_collection("texts", collation={"locale": "en", "strength": 2})
    await database["texts"].insert_many(
        [{"_id": number, "word": "a", "others": ["b"], "schema_version": 1} for number in range(300)]
    )
    collection = Store(database, kinds=[texts], service="tests").collection(texts)
    # Both paths in one place, so that no index or translation answers.
    asked: dict[str, Any] = {"words": "b", "$expr": {"$eq": [{"$strLenBytes": "$notice"}, 60_000]}}
    with pytest.raises(StaleQueryError, match="what they become is more than 8 MB") as raised:
        await collection.count(asked)
    assert (raised.value.rows, any("allow_client_filter" in way for way in raised.value.ways_out)) == (300, True)
    assert await collection.count(asked, allow_client_filter=True) == 300
    with pytest.raises(StaleQueryError, match="what they become is more than 8 MB"):
        await (await collection.aggregate([{"$match": asked}])).to_list()
    assert len(await _result(collection, [{"$match": asked}])) == 300
