"""
Pipelines over rows that are awkward in one way each, what is refused, and what stays on the indexes.
"""

import asyncio
import itertools
from typing import Any

import pytest
from bson import Binary, Decimal128
from pydantic import ConfigDict

from docstore import Collection, Document, Kind, Step, Store
from docstore import operations as ops
from docstore.errors import (
    NewerVersionError,
    QueryRefusedError,
    StaleQueryError,
    UnknownVersionError,
    UnstorableValueError,
    UpgradeFailedError,
)
from docstore.mongo.tag_index import build_tag_index
from docstore.store.aggregating import Aggregations


class Loose(Document):
    model_config = ConfigDict(extra="allow")


def _shout(row: dict[str, Any]) -> dict[str, Any]:
    row["loud"] = str(row.get("town", "")).upper()
    return row


person = Kind(
    "person",
    collection="people",
    model=Loose,
    steps=[
        Step(ops.RenameField("zip", "code"), to=2),
        Step(ops.NestFields({"code": "code", "town": "town"}, into="address"), to=3),
    ],
)
order = Kind(
    "order",
    collection="orders",
    model=Loose,
    steps=[Step(ops.RenameField("who", "person"), to=2), Step(ops.ConcatLists("items", "first", "rest"), to=3)],
)
noisy = Kind("noisy", collection="noises", model=Loose, steps=[Step(upgrade=_shout, writes=["loud"], to=2)])
KINDS = [person, order, noisy]


def _people(database: Any) -> Collection[Loose]:
    return Store(database, kinds=KINDS, service="tests", fleet=False).collection(person)


def _orders(database: Any) -> Collection[Loose]:
    return Store(database, kinds=KINDS, service="tests", fleet=False).collection(order)


def _watched(aggregations: Aggregations) -> list[list[dict[str, Any]]]:
    """
    Return a list that is filled with the pipelines that are sent to the collection of people.
    """
    source = aggregations._sources["people"]
    sent: list[list[dict[str, Any]]] = []
    original = source.aggregate

    def aggregate(pipeline: Any, **options: Any) -> Any:
        sent.append(pipeline)
        return original(pipeline, **options)

    source.aggregate = aggregate  # type: ignore[method-assign]
    return sent


async def _result(collection: Collection[Any], pipeline: list[Any], **options: Any) -> list[dict[str, Any]]:
    return await (await collection.aggregate(pipeline, **options)).to_list()


def _person(number: int, version: int | None = 1, zip: str = "1010", **fields: Any) -> dict[str, Any]:
    tag = {} if version is None else {"schema_version": 1}
    row = {"_id": number, **tag, "zip": zip, "town": "Wien", **fields}
    return row if version is None else person.upgrade(row, to=version)


# --- the same on all drivers --------------------------------------------------------------------------------------


async def test_rows_of_every_version_are_seen_at_the_latest_shape_tag_included(any_database: Any) -> None:
    rows = [_person(number, version) for number, version in enumerate([None, 1, 2, 3])]
    await any_database["people"].insert_many(rows)
    found = await _result(_people(any_database), [{"$match": {"address.code": "1010"}}, {"$sort": {"_id": 1}}])
    assert found == [
        {"_id": number, "address": {"code": "1010", "town": "Wien"}, "schema_version": 3} for number in range(4)
    ]
    assert [row async for row in any_database["people"].find({}, sort=[("_id", 1)])] == rows


async def test_groups_are_made_of_rows_of_all_versions(any_database: Any) -> None:
    rows = [_person(number, number % 3 + 1, zip=str(number % 2)) for number in range(12)]
    await any_database["people"].insert_many(rows)
    grouped = [{"$group": {"_id": "$address.code", "rows": {"$sum": 1}}}, {"$sort": {"_id": 1}}]
    assert await _result(_people(any_database), grouped) == [{"_id": "0", "rows": 6}, {"_id": "1", "rows": 6}]
    assert await _result(_people(any_database), [{"$match": {"zip": "0"}}]) == []


@pytest.mark.parametrize("shown", [0, 1])
async def test_a_projection_may_say_what_it_shows_with_any_number(database: Any, shown: int) -> None:
    await database["people"].insert_many([_person(1), _person(2, 3)])
    plain, exotic = [
        await _result(_people(database), [{"$sort": {"_id": 1}}, {"$project": {"address": number}}])
        for number in (shown, Decimal128(str(shown)))
    ]
    assert exotic == plain
    assert ("address" in exotic[0]) is bool(shown)


async def test_what_is_joined_is_at_its_latest_shape_too(any_database: Any) -> None:
    await any_database["people"].insert_many([_person(1, 1), _person(2, 3, zip="4020")])
    await any_database["orders"].insert_many(
        [
            {"_id": 10, "who": 1, "schema_version": 1, "first": ["a"], "rest": ["b"]},
            order.upgrade({"_id": 11, "who": 2}),
        ]
    )
    joined = {"from": "people", "localField": "person", "foreignField": "_id", "as": "who"}
    pipeline: list[Any] = [{"$lookup": joined}, {"$sort": {"_id": 1}}, {"$project": {"who.address.code": 1}}]
    assert await _result(_orders(any_database), pipeline) == [
        {"_id": 10, "who": [{"address": {"code": "1010"}}]},
        {"_id": 11, "who": [{"address": {"code": "4020"}}]},
    ]
    backwards = {"from": "orders", "localField": "_id", "foreignField": "person", "as": "orders"}
    pipeline = [{"$lookup": backwards}, {"$sort": {"_id": 1}}, {"$project": {"orders._id": 1}}]
    assert await _result(_people(any_database), pipeline) == [
        {"_id": 1, "orders": [{"_id": 10}]},
        {"_id": 2, "orders": [{"_id": 11}]},
    ]


@pytest.mark.parametrize("name", ["dsLocal", "dsLocal0", "mine"])
async def test_a_variable_of_a_join_keeps_its_value_whatever_it_is_called(database: Any, name: str) -> None:
    await database["people"].insert_one(_person(1, 3, limit="b"))
    await database["orders"].insert_many([{"_id": 10 + at, "who": 1, "kept": letter} for at, letter in enumerate("ab")])
    joined = {
        "from": "orders",
        "localField": "_id",
        "foreignField": "person",
        "let": {name: "$limit"},
        "pipeline": [{"$match": {"$expr": {"$eq": ["$kept", f"$${name}"]}}}, {"$project": {"_id": 1}}],
        "as": "orders",
    }
    (found,) = await _result(_people(database), [{"$lookup": joined}])
    assert found["orders"] == [{"_id": 11}]


async def test_what_functions_make_is_refused_and_the_rest_is_not(any_database: Any) -> None:
    noises = Store(any_database, kinds=KINDS, service="tests", fleet=False).collection(noisy)
    await any_database["noises"].insert_many(
        [{"_id": 1, "town": "a", "schema_version": 1}, {"_id": 2, "town": "b", "loud": "B", "schema_version": 2}]
    )
    for pipeline in ([{"$match": {"loud": "A"}}], [{"$group": {"_id": "$loud"}}], []):
        with pytest.raises(StaleQueryError, match="Python functions") as refused:
            await _result(noises, pipeline)
        assert (refused.value.rows, refused.value.versions, refused.value.kind) == (1, (1,), "noisy")
    assert await _result(noises, [{"$sort": {"town": 1}}, {"$project": {"town": 1}}]) == [
        {"_id": 1, "town": "a"},
        {"_id": 2, "town": "b"},
    ]
    with pytest.raises(StaleQueryError) as refused:
        await _result(
            _people(any_database),
            [{"$lookup": {"from": "noises", "localField": "_id", "foreignField": "_id", "as": "n"}}],
        )
    assert refused.value.kind == "noisy"
    await any_database["noises"].delete_one({"_id": 1})
    assert await _result(noises, [{"$match": {"loud": "B"}}, {"$count": "rows"}]) == [{"rows": 1}]


@pytest.mark.parametrize("tag", [4, "3", Decimal128("7"), [3], {"v": 3}], ids=repr)
async def test_a_row_that_cannot_be_read_is_raised_or_left_out_and_named(any_database: Any, tag: Any) -> None:
    await any_database["people"].insert_many([_person(1), _person(2, 3), _person(3, 3) | {"schema_version": tag}])
    people = _people(any_database)
    with pytest.raises((NewerVersionError, UnknownVersionError)) as raised:
        await _result(people, [{"$group": {"_id": "$address.code", "rows": {"$sum": 1}}}])
    assert getattr(raised.value, "id", None) == 3
    cursor = await people.aggregate([{"$group": {"_id": "$address.code", "rows": {"$sum": 1}}}], on_error="skip")
    assert await cursor.to_list() == [{"_id": "1010", "rows": 2}]
    assert [row.id for row in cursor.skipped] == [3]


@pytest.mark.parametrize("indexed", [False, True])
async def test_a_decimal_that_equals_a_stored_version_is_no_version(
    database: Any,
    indexed: bool,  # noqa: FBT001 - a case
) -> None:
    rows = [_person(1), _person(2, 3), _person(3) | {"schema_version": Decimal128("1")}, _person(4, zip="x")]
    await database["people"].insert_many(rows)
    await database["orders"].insert_one(order.upgrade({"_id": 10, "who": 3}))
    if indexed:
        await build_tag_index(database, "people", "schema_version")
    people = _people(database)
    pipelines: list[list[Any]] = [
        [{"$group": {"_id": "$address.code", "rows": {"$sum": 1}}}],
        [{"$match": {"address.code": {"$ne": "x"}}}, {"$group": {"_id": None, "rows": {"$sum": 1}}}],
        [{"$match": {"_id": {"$in": [1, 3]}}}, {"$project": {"address": 1}}],
    ]
    for pipeline in pipelines:
        with pytest.raises(UnknownVersionError) as raised:
            await _result(people, pipeline)
        assert raised.value.id == 3
        cursor = await people.aggregate(pipeline, on_error="skip")
        assert 3 not in [row["_id"] for row in await cursor.to_list()]
        assert [row.id for row in cursor.skipped] == [3]
    joined = {"from": "people", "localField": "person", "foreignField": "_id", "as": "who"}
    with pytest.raises(UnknownVersionError):
        await _result(_orders(database), [{"$lookup": joined}])
    # What is not met is not raised, and nothing is asked of its tag.
    assert await _result(people, [{"$match": {"_id": 1}}, {"$project": {"address.code": 1}}]) == [
        {"_id": 1, "address": {"code": "1010"}}
    ]


async def test_a_decimal_that_equals_latest_is_noticed_by_a_look_at_every_row(database: Any) -> None:
    await database["people"].insert_many([_person(1, 3), _person(2, 3) | {"schema_version": Decimal128("3")}])
    with pytest.raises(UnknownVersionError) as raised:
        await _result(_people(database), [{"$group": {"_id": "$address.code"}}])
    assert raised.value.id == 2


async def test_a_row_that_no_step_can_upgrade_is_raised_or_left_out_and_named(any_database: Any) -> None:
    await any_database["people"].insert_many([_person(1), _person(2) | {"address": 5}])
    people = _people(any_database)
    with pytest.raises(UpgradeFailedError):
        await _result(people, [{"$match": {"address.code": "1010"}}])
    cursor = await people.aggregate([{"$match": {"address.code": "1010"}}, {"$project": {"_id": 1}}], on_error="skip")
    assert await cursor.to_list() == [{"_id": 1}]
    assert [row.id for row in cursor.skipped] == [2]


@pytest.mark.parametrize(
    "stage",
    [
        {"$out": "people"},
        {"$merge": "orders"},
        {"$merge": {"into": "orders"}},
        {"$out": "docstore_control"},
        {"$match": {"schema_version": 1}},
        {"$match": {"id": 1}},
    ],
    ids=repr,
)
async def test_what_would_write_over_rows_or_ask_for_the_tag_is_refused(any_database: Any, stage: Any) -> None:
    await any_database["people"].insert_one(_person(1))
    with pytest.raises(QueryRefusedError):
        await _people(any_database).aggregate([stage])
    assert await any_database["people"].count_documents({}) == 1


async def test_writing_to_the_collection_of_a_kind_by_its_database_is_refused(database: Any) -> None:
    for stage in (
        {"$out": {"db": database.name, "coll": "people"}},
        {"$merge": {"into": {"db": database.name, "coll": "people"}}},
    ):
        with pytest.raises(QueryRefusedError, match="the kind 'person'"):
            await _people(database).aggregate([stage])


@pytest.mark.parametrize("pipeline", [[{}], [{"match": {}}], [{"$match": {}, "$limit": 1}], ["$match"]], ids=repr)
async def test_what_is_no_stage_is_told_before_the_server_is_asked(any_database: Any, pipeline: Any) -> None:
    with pytest.raises(ValueError, match="stage 0"):
        await _people(any_database).aggregate(pipeline)


async def test_a_value_that_has_no_place_in_bson_is_named(any_database: Any) -> None:
    with pytest.raises(UnstorableValueError):
        await _people(any_database).aggregate([{"$match": {"address.code": object()}}])


# --- on a server --------------------------------------------------------------------------------------------------


async def test_out_and_merge_write_the_latest_shape_elsewhere(server_database: Any) -> None:
    await server_database["people"].insert_many([_person(1), _person(2, 3)])
    people = _people(server_database)
    assert await _result(people, [{"$project": {"code": "$address.code"}}, {"$out": "report"}]) == []
    assert await _result(people, [{"$project": {"code": "$address.code"}}, {"$merge": {"into": "report2"}}]) == []
    for name in ("report", "report2"):
        found = [row async for row in server_database[name].find({}, sort=[("_id", 1)])]
        assert found == [{"_id": 1, "code": "1010"}, {"_id": 2, "code": "1010"}]


async def test_rows_that_the_server_declines_are_taken_all_the_same(database: Any) -> None:
    class Sized(Document):
        model_config = ConfigDict(extra="allow")

    compute = ops.Compute("lower", {"$toLower": "$a"}, lambda row: row["a"].lower(), requires={"$eq": ["$a", "A"]})
    kind = Kind("sized", collection="sizes", model=Sized, steps=[Step(compute, to=2)])
    await database["sizes"].insert_many(
        [{"_id": 1, "a": "A"}, {"_id": 2, "a": "Ä"}, {"_id": 3, "a": "B", "lower": "b"}]
    )
    await database["sizes"].update_one({"_id": 3}, {"$set": {"schema_version": 2}})
    sizes = Store(database, kinds=[kind], service="tests", fleet=False).collection(kind)
    found = await _result(sizes, [{"$sort": {"_id": 1}}, {"$project": {"lower": 1}}])
    assert found == [{"_id": 1, "lower": "a"}, {"_id": 2, "lower": "ä"}, {"_id": 3, "lower": "b"}]
    joined = {"from": "sizes", "localField": "_id", "foreignField": "_id", "as": "own"}
    found = await _result(sizes, [{"$lookup": joined}, {"$sort": {"_id": 1}}, {"$project": {"own.lower": 1}}])
    assert [row["own"] for row in found] == [[{"lower": letter}] for letter in "aäb"]


@pytest.mark.parametrize(
    "stage",
    [
        {
            "$graphLookup": {
                "from": "orders",
                "startWith": "$_id",
                "connectFromField": "_id",
                "connectToField": "person",
                "as": "g",
            }
        },
        {
            "$graphLookup": {
                "from": "orders",
                "startWith": "$_id",
                "connectFromField": "_id",
                "connectToField": "_id",
                "as": "deep.orders",
            }
        },
        {"$geoNear": {"near": {"type": "Point", "coordinates": [0, 0]}, "distanceField": "d"}},
    ],
    ids=["graph", "graph within", "near"],
)
async def test_what_only_stored_rows_can_be_asked_is_refused_while_some_are_old(database: Any, stage: Any) -> None:
    await database["people"].insert_one(_person(1))
    await database["orders"].insert_one({"_id": 10, "who": 1})
    with pytest.raises(StaleQueryError):
        await _result(_people(database), [stage])


@pytest.mark.parametrize(
    ("local", "foreign"), [("_id", "items.0"), ("picks.0", "person"), ("picks.0", "_id"), ("picks.0", "items")]
)
async def test_a_join_by_an_array_position_is_refused_where_old_rows_would_have_to_be_upgraded_before_it(
    database: Any, local: str, foreign: str
) -> None:
    old = [
        {"_id": 10, "who": "a", "first": [1, 2], "rest": []},
        {"_id": 11, "who": "b", "first": ["a"], "rest": [{"0": 1}]},
    ]
    await database["people"].insert_many([_person(1, 3, picks=["a", 10]), _person(2, 3, picks=[11])])
    await database["orders"].insert_many(old)
    pipeline = [{"$lookup": {"from": "orders", "localField": local, "foreignField": foreign, "as": "orders"}}]
    with pytest.raises(StaleQueryError, match="array position") as refused:
        await _result(_people(database), pipeline)
    assert (refused.value.kind, refused.value.versions, refused.value.rows) == ("order", (1, 2), 2)
    await database["orders"].delete_many({})
    await database["orders"].insert_many([order.upgrade(row) for row in old])
    assert any(row["orders"] for row in await _result(_people(database), pipeline))


async def test_a_localfield_with_an_array_position_is_refused_while_rows_are_old_that_come_to_it(database: Any) -> None:
    await database["people"].insert_many([_person(1, 1, picks=["a"]), _person(2, 3, picks=["b"])])
    await database["towns"].insert_many([{"_id": "a"}, {"_id": "b"}])
    pipeline = [{"$lookup": {"from": "towns", "localField": "picks.0", "foreignField": "_id", "as": "address.towns"}}]
    with pytest.raises(StaleQueryError, match="array position"):
        await _result(_people(database), pipeline)
    await database["people"].update_one({"_id": 1}, {"$set": {"schema_version": 3}})
    assert [len(row["address"]["towns"]) for row in await _result(_people(database), pipeline)] == [1, 1]


async def test_a_foreignfield_with_an_array_position_is_asked_by_the_server_where_no_step_changes_it(
    database: Any,
) -> None:
    await database["people"].insert_many([_person(1, 1), _person(2, 3)])
    await database["orders"].insert_many([{"_id": 10, "who": "a", "days": [2, 1]}, {"_id": 11, "days": [1]}])
    join = {"from": "orders", "localField": "_id", "foreignField": "days.0", "as": "address.orders"}
    found = await _result(_people(database), [{"$lookup": join}, {"$sort": {"_id": 1}}])
    assert [[one["_id"] for one in row["address"]["orders"]] for row in found] == [[11], [10]]


async def test_a_graph_is_followed_where_nothing_is_old(database: Any) -> None:
    await database["people"].insert_one(_person(1, 3))
    await database["orders"].insert_one(order.upgrade({"_id": 10, "who": 1}))
    graph = {"from": "orders", "startWith": "$_id", "connectFromField": "_id", "connectToField": "person", "as": "g"}
    assert [len(row["g"]) for row in await _result(_people(database), [{"$graphLookup": graph}])] == [1]


async def test_what_a_graph_finds_is_at_the_latest_shape_where_no_step_changes_how_it_is_followed(
    any_database: Any,
) -> None:
    rows = [_person(1, 3, knows=2), _person(2, 1, knows=3), _person(3, 2, knows=1)]
    await any_database["people"].insert_many(rows)
    graph = {
        "from": "people",
        "startWith": "$knows",
        "connectFromField": "knows",
        "connectToField": "_id",
        "as": "known",
        "depthField": "steps",
        "maxDepth": 1,
    }
    (found,) = await _result(_people(any_database), [{"$match": {"_id": 1}}, {"$graphLookup": graph}])
    known = {row["_id"]: row for row in found["known"]}
    assert known.keys() == {2, 3}
    for number, steps in ((2, 0), (3, 1)):
        assert known[number] == {**person.upgrade(rows[number - 1]), "steps": steps}


async def test_in_a_transaction_rows_of_all_versions_are_seen_as_the_transaction_sees_them(database: Any) -> None:
    people = _people(database)
    await database["people"].insert_one(_person(1))
    async with database.client.start_session() as session:
        await session.start_transaction()
        await database["people"].insert_one(_person(2), session=session)
        pipeline = [{"$group": {"_id": "$address.code", "rows": {"$sum": 1}}}]
        assert await _result(people, pipeline, session=session) == [{"_id": "1010", "rows": 2}]
        assert await _result(people, pipeline) == [{"_id": "1010", "rows": 1}]
        await session.abort_transaction()


async def test_a_filter_on_a_changed_path_uses_the_indexes_of_both_shapes(database: Any) -> None:
    rows = [_person(number, number % 3 + 1, zip=str(number)) for number in range(3000)]
    await database["people"].insert_many(rows)
    for path in ("zip", "code", "address.code"):
        await database["people"].create_index(path)
    await build_tag_index(database, "people", "schema_version")
    aggregations = Aggregations(database, person, {"people": person})
    pipelines = _watched(aggregations)
    asked: list[Any] = [
        {"$match": {"address.code": {"$in": ["30", "31", "32"]}}},
        {"$group": {"_id": None, "rows": {"$sum": 1}}},
    ]
    found = [batch async for batch in aggregations.batches(asked, report=None, session=None)]
    assert len(found) == 1
    plan = await database.command(
        {"explain": {"aggregate": "people", "pipeline": pipelines[0], "cursor": {}}, "verbosity": "executionStats"}
    )
    statistics = plan["stages"][0]["$cursor"]["executionStats"]
    assert statistics["totalDocsExamined"] <= 12


async def test_where_nothing_is_old_the_pipeline_is_sent_as_it_is(database: Any) -> None:
    await database["people"].insert_many([_person(number, 3) for number in range(5)])
    aggregations = Aggregations(database, person, {"people": person, "orders": order})
    sent = _watched(aggregations)
    asked: list[Any] = [
        {"$match": {"address.code": "1010"}},
        {"$lookup": {"from": "orders", "localField": "_id", "foreignField": "person", "as": "orders"}},
    ]
    assert [batch async for batch in aggregations.batches(asked, report=None, session=None)]
    assert sent == [asked]


async def test_values_come_out_as_they_are_stored(database: Any) -> None:
    row = _person(1, extra=Decimal128("1.10"), blob=Binary(b"x", 6))
    await database["people"].insert_one(row)
    (found,) = await _result(_people(database), [])
    assert (found["extra"], found["blob"], found["blob"].subtype) == (Decimal128("1.10"), Binary(b"x", 6), 6)


async def test_a_collection_with_rules_of_its_own_for_text_is_upgraded_in_python(database: Any) -> None:
    await database.create_collection("people", collation={"locale": "en", "strength": 2})
    await database["people"].insert_many([_person(1, zip="a"), _person(2, 3, zip="A"), _person(3, 2, zip="b")])
    found = await _result(_people(database), [{"$match": {"address.code": "a"}}, {"$sort": {"_id": 1}}])
    assert [row["address"]["code"] for row in found] == ["a", "A"]


async def test_every_row_is_counted_once_while_rows_move_between_versions(server_database: Any) -> None:
    people, rows = _people(server_database), server_database["people"]
    await rows.insert_many([_person(number) for number in range(60)])
    moved = 0

    async def move() -> None:
        nonlocal moved
        for number in itertools.cycle(range(60)):
            row = await rows.find_one({"_id": number})
            version = row["schema_version"]
            after = person.upgrade(row) if version < 3 else person.downgrade(row, to=1)
            await rows.replace_one({"_id": number}, after)
            moved += 1

    mover = asyncio.create_task(move())
    pipeline = [{"$match": {"address.code": "1010"}}, {"$group": {"_id": "$address.town", "rows": {"$sum": 1}}}]
    asked = 0
    while asked < 20 or moved < 120:
        assert await _result(people, pipeline) == [{"_id": "Wien", "rows": 60}]
        asked += 1
    mover.cancel()
