"""
A view shows rows that are stored below its version as `get` does: with what they keep beside their fields.
"""

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.commands import views_sync
from docstore.core.bson_values import CODEC, RawDocument, comparison_key, decode, encode, identical
from docstore.core.expressions import render
from docstore.core.merge import EQUAL, merged_value
from docstore.core.merge_on_server import merged_on_server, opened
from docstore.core.residue import RESIDUE
from docstore.core.view_pipeline import restored_from, view_pipeline
from docstore.errors import DocumentError
from tests.changed_rows import values
from tests.integration.views.test_sync import stages_of
from tests.pinned import pinned
from tests.random_kinds import Anything, random_invertible_kind, random_latest_rows, value

Rows = AsyncDatabase[dict[str, Any]]

Pipeline: TypeAlias = Sequence[Mapping[str, Any]]

_SEEDS: Final = st.integers(min_value=0, max_value=2**32 - 1)
NOTE: Final = Kind(
    "note",
    collection="notes",
    model=Anything,
    steps=[
        Step(ops.RenameField("text", "body"), to=2),
        Step(ops.AddField("status", "new"), ops.WrapInList("tag"), to=3),
        Step(ops.NestFields(["street", "zip"], into="address"), ops.AddField("address.country", "AT"), to=4),
    ],
)


def _left_by_older_node(row: RawDocument, rng: random.Random) -> RawDocument:
    """
    Return a row as a node of the version at which it stands may leave it, which knows nothing of its residue.
    """
    changed = dict(row)
    names = sorted(row.keys() - {"_id", "schema_version", RESIDUE})
    for name in rng.sample(names, min(len(names), rng.randrange(3))):
        if rng.random() < 0.15:
            del changed[name]
        else:
            changed[name] = _changed(row[name], rng)
    return changed


def _changed(held: Any, rng: random.Random) -> Any:
    if isinstance(held, dict) and held and rng.random() < 0.8:
        name = rng.choice(sorted(held))
        names = rng.sample(sorted(held), len(held)) if rng.random() < 0.2 else list(held)
        after = {each: held[each] for each in names}
        after[name] = _changed(held[name], rng)
        after.pop(rng.choice([name, *[None] * 4]), None)
        return {**after, **({"added": value(rng)} if rng.random() < 0.2 else {})}
    if isinstance(held, list) and held and rng.random() < 0.8:
        after_list = rng.sample(held, len(held)) if rng.random() < 0.2 else list(held)
        place = rng.randrange(len(held))
        after_list[place : place + rng.choice([0, 1, 1, 1, 1])] = [_changed(held[place], rng)]
        return after_list[: rng.choice([len(after_list), len(after_list), 1])]
    return value(rng)


async def _compare(database: Rows, seed: int) -> None:
    """
    Compare views with answers, for a kind and rows of a seed: written by nodes below latest, then by an older one.
    """
    rng = random.Random(seed)
    kind = random_invertible_kind(rng, functions=0.0)
    stored = database.get_collection("things", codec_options=CODEC)
    await stored.delete_many({})
    upper = random_latest_rows(rng, kind, 8)
    for version in range(1, kind.latest + 1):
        for row in upper[version :: kind.latest]:
            fields = {name: held for name, held in row.items() if name not in {"_id", "schema_version"}}
            with suppress(DocumentError):
                await pinned(database, kind, version).insert(Anything(id=row["_id"], **fields))
    written = [row async for row in stored.find()]
    changed = [{**_left_by_older_node(row, rng), "_id": f"changed {row['_id']}"} for row in written]
    if changed:
        await stored.insert_many(changed)
    rows = [decode(encode(row)) for row in (*written, *changed)]
    things = pinned(database, kind, 1)

    for version in range(1, kind.latest + 1):
        pipeline = view_pipeline(kind, version)
        shown = {row["_id"]: row async for row in await stored.aggregate(pipeline)}
        assert shown.keys() == {row["_id"] for row in rows}
        for row in rows:
            seen, stands = shown[row["_id"]], row["schema_version"]
            if seen["schema_version"] != version:
                # What the server declines it declines without a residue, too; the tag tells.
                assert identical(seen, {name: held for name, held in row.items() if name != RESIDUE})
                assert not await _is_declined_for_its_residue(database, pipeline, row, version), (kind.steps, row)
                continue
            if version == kind.latest:
                answer = dict(await things.get(row["_id"], as_version=version))
            else:
                answer = kind.upgrade(row, to=version) if stands < version else kind.downgrade(row, to=version)
                answer.pop(RESIDUE, None)
            assert seen.keys() == answer.keys(), (kind.steps, row)
            assert all(identical(held, answer[name]) for name, held in seen.items()), (kind.steps, row)


async def _is_declined_for_its_residue(database: Rows, pipeline: Pipeline, row: RawDocument, version: int) -> bool:
    """
    Tell whether a row below a view's version is not shown at it, but would be if it kept nothing.
    """
    if RESIDUE not in row or row["schema_version"] >= version:
        return False
    await database["bare"].delete_many({})
    await database["bare"].insert_one({name: held for name, held in row.items() if name != RESIDUE})
    shown = [each async for each in await database["bare"].aggregate(pipeline)]
    return bool(shown[0]["schema_version"] == version)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
@given(seed=_SEEDS)
async def test_views_show_what_a_store_that_writes_below_latest_answers(database: Rows, seed: int) -> None:
    await _compare(database, seed)


@pytest.mark.long
@pytest.mark.timeout(900)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(seed=_SEEDS)
async def test_views_show_it_for_hundreds_of_kinds(database: Rows, seed: int) -> None:
    await _compare(database, seed)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(threes=st.lists(st.tuples(values, _SEEDS, _SEEDS), min_size=1, max_size=20))
async def test_the_server_merges_as_python_does(database: Rows, threes: list[tuple[Any, int, int]]) -> None:
    rows = [
        {"_id": place, "is": _changed(was, random.Random(one)), "was": was, "now": _changed(was, random.Random(other))}
        for place, (was, one, other) in enumerate(threes)
    ]
    stored = database.get_collection("threes", codec_options=CODEC)
    await stored.drop()
    await stored.insert_many(rows)
    changed = {"$and": [{"$ne": ["$was", "$now"]}, opened("$is", "$was", "$now")]}
    merged = merged_on_server([{"k": "v", "s": "$is", "b": "$was", "n": "$now"}])
    shown = stored.aggregate([{"$project": render({"of": {"$cond": [changed, merged, None]}})}])

    async for row in await shown:
        is_, was, now = (rows[row["_id"]][name] for name in ("is", "was", "now"))
        looked_into = (isinstance(is_, dict) and isinstance(was, dict) and isinstance(now, dict)) or (
            isinstance(is_, list) and isinstance(was, list) and isinstance(now, list) and len(is_) == len(was)
        )
        if looked_into and comparison_key(was) != comparison_key(now):
            assert identical(row["of"], {"v": merged_value(is_, was, now, by=EQUAL)}), rows[row["_id"]]
        else:
            assert row["of"] is None


async def test_what_an_older_node_changed_since_and_what_it_left_alone_are_both_shown(database: Rows) -> None:
    upper = {
        "_id": 1,
        "schema_version": 4,
        "status": "sold",
        "tag": ["x", "y"],
        "address": {"street": "a", "country": "DE"},
    }
    lower = NOTE.lower(upper, to=1)
    await database["notes"].insert_many([lower, {**lower, "_id": 2, "street": "b"}, {**lower, "_id": 3, "tag": "z"}])
    await views_sync(database, NOTE, versions=[3])

    seen = [row async for row in database["notes_v4"].find(sort=[("_id", 1)])]
    middle = await database["notes_v3"].find_one({"_id": 2})

    assert seen == [
        upper,
        {**upper, "_id": 2, "address": {"street": "b", "country": "DE"}},
        {**upper, "_id": 3, "tag": ["z"]},
    ]
    assert middle == {"_id": 2, "schema_version": 3, "status": "sold", "tag": ["x", "y"], "street": "b"}
    assert await database["notes_v4"].count_documents({"status": "sold"}) == 3
    assert await database["notes_v4"].count_documents({"address.country": "DE"}) == 3


async def test_what_docstore_did_not_write_there_is_shown_as_stored_under_its_own_tag(database: Rows) -> None:
    odd: list[Any] = [5, [], {"2": 5}, {"3": {}}, {"3": {"fields": {"a": 1}}}, {"x": {"fields": {}}}]
    odd.append({"3": {"fields": {"unknown": {"is": 1}}}})
    await database["notes"].insert_many(
        [{"_id": place, "schema_version": 1, "text": "a", RESIDUE: each} for place, each in enumerate(odd)]
    )
    await views_sync(database, NOTE)

    seen = [row async for row in database["notes_v4"].find()]

    assert seen == [{"_id": place, "schema_version": 1, "text": "a"} for place in range(len(odd))]


async def test_a_filter_on_an_untouched_field_reaches_its_index_past_what_is_restored(database: Rows) -> None:
    lower = NOTE.lower({"_id": 0, "schema_version": 4, "status": "sold", "address": {"zip": "1"}}, to=1)
    await database["notes"].insert_many([{**lower, "_id": place, "population": place} for place in range(200)])
    await database["notes"].create_index("population")
    await views_sync(database, NOTE)
    asked = {"population": {"$gte": 190}, "status": "sold"}

    plan = await database.command({"explain": {"find": "notes_v4", "filter": asked}, "verbosity": "executionStats"})
    cursor = plan["stages"][0]["$cursor"] if "stages" in plan else plan

    assert {scan.get("indexName") for scan in stages_of(cursor["queryPlanner"]["winningPlan"])} == {
        "population_1",
        None,
    }
    assert cursor["executionStats"]["totalDocsExamined"] == 10
    assert await database["notes_v4"].count_documents(asked) == 10


async def test_where_the_way_is_too_long_to_restore_rows_are_shown_as_stored_as_ever(
    database: Rows, monkeypatch: Any
) -> None:
    upper = {"_id": 1, "schema_version": 4, "status": "sold", "tag": ["x", "y"], "address": {"country": "DE"}}
    lower = NOTE.lower(upper, to=1)
    await database["notes"].insert_many([lower, {"_id": 2, "schema_version": 1}])
    monkeypatch.setattr("docstore.core.view_pipeline._AROUND", 135)
    assert restored_from(NOTE, 4) == []
    await views_sync(database, NOTE)

    seen = [row async for row in database["notes_v4"].find(sort=[("_id", 1)])]

    assert [row["schema_version"] for row in seen] == [1, 4]


def test_every_version_below_a_view_is_brought_up_with_what_its_rows_keep() -> None:
    assert restored_from(NOTE, 4) == [1, 2, 3]
    assert restored_from(NOTE, 1) == []
    kind = Kind("note", collection="notes", model=Document, steps=[*NOTE.steps[:2], Step(upgrade=dict, to=4)])
    assert restored_from(kind, 4) == []
