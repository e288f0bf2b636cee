"""
A backfill that is only tried: what it says, and that it leaves no trace.
"""

from dataclasses import replace
from typing import Any

import pytest
from bson import Decimal128, Int64

from docstore import Kind, Step, commands
from docstore import operations as ops
from docstore.core.direction import Direction
from docstore.errors import BackfillRefusedError, VersionRangeError
from tests.kinds import Place, add_slug, place_kind, stored

Database = Any


def renamed() -> Kind[Place]:
    """
    A kind whose only step runs inside the server.
    """
    return Kind("place", collection="places", model=Place, steps=[Step(ops.RenameField("title", "name"), to=2)])


def strict() -> Kind[Place]:
    def upgrade(row: dict[str, Any]) -> dict[str, Any]:
        if row["name"] == "odd":
            raise ValueError("secret odd")
        return add_slug(row)

    steps = [*place_kind().steps[:1], Step(upgrade=upgrade, writes=["slug"], to=3)]
    return Kind("place", collection="places", model=Place, steps=steps)


async def state(client: Any, database: Database) -> tuple[Any, Any, Any]:
    """
    Everything that a write of any kind would change.
    """
    hashes = await database.command("dbHash")
    indexes = await database.places.index_information()
    entries = await client.local["oplog.rs"].count_documents({"ns": {"$regex": f"^{database.name}\\."}})
    return hashes["collections"], indexes, entries


async def test_it_writes_nothing_of_any_kind(database: Database, client: Any) -> None:
    await database.places.insert_many([stored(1, place) for place in range(50)] + [stored(2, "x"), stored(None, "u")])
    before = await state(client, database)

    await commands.backfill_dry_run(database, place_kind(), sample=20)
    await commands.backfill_dry_run(database, renamed(), sample=20)

    assert await state(client, database) == before


async def test_it_says_what_would_become_of_every_field(database: Database) -> None:
    await database.places.insert_many([stored(1, 1), stored(2, 2)])

    result = await commands.backfill_dry_run(database, place_kind())

    changes = {(change.path, change.change): change.rows for change in result.changes}
    assert changes == {
        ("name", "added"): 1,
        ("title", "removed"): 1,
        ("slug", "added"): 2,
        ("schema_version", "changed"): 2,
    }
    assert (result.looked_at, result.would_change, result.by_server) == (2, 2, 0)
    assert result.clean


async def test_it_shows_examples_of_every_version_before_and_after(database: Database) -> None:
    await database.places.insert_many([*(stored(1, place) for place in range(5)), stored(2, "x")])

    result = await commands.backfill_dry_run(database, place_kind())

    assert [example.before["schema_version"] for example in result.examples] == [1, 2, 1]
    assert result.examples[1].after == stored(3, "x")


async def test_it_counts_the_rows_that_the_server_would_take(database: Database) -> None:
    await database.places.insert_many([stored(1, 1), stored(None, 2), stored(1, 3, name="x", title="y")])
    await database.places.update_one({"_id": 3}, {"$set": {"name": "there already"}})

    result = await commands.backfill_dry_run(database, renamed())

    assert (result.by_server, result.differing) == (2, 0)
    assert [failure.id for failure in result.failures] == [3]


async def test_where_every_row_has_to_fit_the_model_the_server_takes_none_and_is_compared_all_the_same(
    database: Database,
) -> None:
    await database.places.insert_many([stored(1, 1), stored(None, 2)])

    result = await commands.backfill_dry_run(database, renamed(), every_row=True)

    assert (result.would_change, result.by_server) == (2, 0)
    assert result.clean


async def test_it_names_rows_that_would_fail_and_none_of_their_values(database: Database) -> None:
    await database.places.insert_many([stored(2, 1, "odd"), stored(2, 2)])

    result = await commands.backfill_dry_run(database, strict())

    (failure,) = result.failures
    assert (failure.id, failure.version, failure.step, failure.error) == (1, 2, 3, "UpgradeFailedError")
    assert "odd" not in failure.model_dump_json()
    assert not result.clean


async def test_it_holds_rows_against_the_model_unless_told_otherwise(database: Database) -> None:
    await database.places.insert_many([stored(2, 1, tags="no list"), stored(2, 2)])

    held = await commands.backfill_dry_run(database, place_kind())
    free = await commands.backfill_dry_run(database, place_kind(), validate=False)

    assert [failure.error for failure in held.failures] == ["InvalidDocumentError"]
    assert free.would_fail == 0


async def test_it_names_rows_on_which_the_server_and_python_differ(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = renamed()
    compiled = kind.compile(1)
    wrong = replace(compiled, pipeline=[*compiled.pipeline, {"$set": {"name": {"$toUpper": "$name"}}}])
    monkeypatch.setattr(kind, "compile", lambda *_, **__: wrong)
    await database.places.insert_one(stored(1, 7, "secret"))

    result = await commands.backfill_dry_run(database, kind)

    (difference,) = result.differences
    assert (difference.id, difference.paths) == (7, ("name",))
    assert not result.clean


async def test_a_sample_looks_at_random_rows_besides_the_first_ones(database: Database) -> None:
    await database.places.insert_many([stored(1, place) for place in range(3000)])

    without = await commands.backfill_dry_run(database, renamed())
    with_sample = await commands.backfill_dry_run(database, renamed(), sample=100)

    assert without.looked_at == 500
    assert 500 < with_sample.looked_at <= 600
    assert with_sample.by_server == with_sample.would_change == with_sample.looked_at


async def test_the_rows_that_it_shows_are_those_that_it_compares_whatever_order_their_ids_have(
    database: Database,
) -> None:
    await database.places.insert_many([stored(1, place) for place in range(3000, 0, -1)])

    result = await commands.backfill_dry_run(database, renamed())

    assert (result.looked_at, result.by_server) == (500, 500)


async def test_rows_at_the_target_or_above_need_nothing(database: Database) -> None:
    await database.places.insert_many([stored(1, 1), stored(2, 2), stored(3, 3)])

    result = await commands.backfill_dry_run(database, place_kind(), to=2, direction=Direction.UP, sample=50)

    assert (result.would_change, result.untouched, result.would_fail) == (1, 2, 0)


async def test_it_refuses_what_a_backfill_would_refuse(database: Database) -> None:
    await database.places.insert_many([stored(1, 1), stored(3, 2)])

    with pytest.raises(BackfillRefusedError):
        await commands.backfill_dry_run(database, place_kind(), to=2)
    with pytest.raises(VersionRangeError):
        await commands.backfill_dry_run(database, place_kind(), to=9)


async def test_it_works_on_motor(motor_database: Database) -> None:
    await motor_database.places.insert_many([stored(1, 1), stored(1, 2)])

    result = await commands.backfill_dry_run(motor_database, renamed(), sample=10)

    assert (result.would_change, result.by_server) == (2, 2)


async def test_it_works_on_the_mock_without_a_server_to_compare_with(mock_database: Database) -> None:
    await mock_database.places.insert_many([stored(1, 1), stored(1, 2)])

    result = await commands.backfill_dry_run(mock_database, renamed(), sample=10)

    assert (result.would_change, result.by_server) == (2, 0)


async def test_a_collection_that_is_not_there_has_nothing_to_do(database: Database) -> None:
    result = await commands.backfill_dry_run(database, place_kind(), sample=5)

    assert (result.looked_at, result.clean) == (0, True)
    assert await database.list_collection_names() == []


@pytest.mark.parametrize("kind", [renamed(), place_kind()], ids=["on the server", "in Python"])
async def test_rows_that_are_named_are_tried_all_of_them_and_no_others(
    database: Database, client: Any, kind: Kind[Place]
) -> None:
    target = kind.latest
    await database.places.insert_many(
        [stored(1, number) for number in range(1200)] + [stored(1, "7"), stored(target, "x")]
    )
    ids = [*range(600), 3, "7", "x", "nobody"]
    before = await state(client, database)

    result = await commands.backfill_dry_run(database, kind, ids=ids)

    assert (result.looked_at, result.would_change, result.untouched) == (602, 601, 1)
    assert [(count.version, count.rows) for count in result.versions] == [(1, 601)]
    assert result.selection is not None
    assert result.selection.model_dump() == {"ids": 603, "rows": 602, "missing": 1, "random": False}
    assert result.by_server == (601 if target == 2 else 0)
    assert await state(client, database) == before


async def test_a_fault_of_a_row_that_is_named_is_found_wherever_it_stands(database: Database) -> None:
    await database.places.insert_many([*(stored(2, number) for number in range(1000)), stored(2, 5000, "odd")])

    by_itself = await commands.backfill_dry_run(database, strict())
    named = await commands.backfill_dry_run(database, strict(), ids=[1, 5000])

    assert by_itself.clean
    assert [failure.id for failure in named.failures] == [5000]


async def test_named_rows_are_told_by_the_versions_that_their_tags_say(database: Database) -> None:
    tags = [1, 1.0, Int64(1), True, "1", Decimal128("1")]
    await database.places.insert_many([stored(None, place, schema_version=tag) for place, tag in enumerate(tags)])

    result = await commands.backfill_dry_run(database, place_kind(), ids=[*range(6)])

    assert [(count.version, count.rows) for count in result.versions] == [(1, 3)]
    assert (result.untagged, result.would_change, result.would_fail) == (0, 3, 3)


async def test_ids_that_name_no_row_are_refused_and_so_are_ids_with_a_sample(database: Database) -> None:
    await database.places.insert_one(stored(1, 1))

    with pytest.raises(BackfillRefusedError, match="the id names no row"):
        await commands.backfill_dry_run(database, place_kind(), ids=["1"])
    with pytest.raises(ValueError, match="not both"):
        await commands.backfill_dry_run(database, place_kind(), ids=[1], sample=5)
