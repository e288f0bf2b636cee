"""
A rollout begins when the indexes are there that the next version needs.
"""

from typing import Any

import pytest
from pymongo import IndexModel

from docstore import Kind
from docstore.core.blocker import Cause
from docstore.core.index_spec import IndexSpec
from docstore.errors import RolloutRefusedError, StoreRejectedError
from docstore.mongo.declared_indexes import build_indexes, missing_indexes
from tests.integration.fleet.conftest import Nodes
from tests.kinds import Place, place_kind

DECLARED: dict[int, Any] = {2: ["name"], 3: ["slug", IndexModel([("at.x", 1), ("at.y", -1)], name="where")]}


def indexed(**indexes: Any) -> Kind[Place]:
    steps = place_kind(latest=3).steps
    return Kind("place", collection="places", model=Place, steps=steps, indexes=DECLARED, **indexes)


async def test_missing_indexes_of_the_next_version_are_listed_with_what_builds_them(nodes: Nodes) -> None:
    await nodes.rows(2)
    await nodes.open(3)
    kind = indexed()
    for move in (nodes.rollouts().canary(kind, 5.0), nodes.rollouts().advance(kind)):
        with pytest.raises(RolloutRefusedError) as caught:
            await move
        assert [blocker["cause"] for blocker in caught.value.blockers] == [Cause.MISSING_INDEX] * 2
        facts = [blocker["facts"] for blocker in caught.value.blockers]
        assert [(each["index"], each["version"]) for each in facts] == [("slug_1", 3), ("where", 3)]
        assert facts[0]["command"] == 'db.getCollection("places").createIndex({"slug": 1})'
        assert facts[1]["command"] in str(caught.value)

    await build_indexes(nodes.database, "places", kind.indexes[3])
    await build_indexes(nodes.database, "places", kind.indexes[3])

    assert (await nodes.rollouts().advance(kind)).write_version == 3


async def test_an_index_that_leaves_rows_out_does_not_stand_for_one_that_does_not(nodes: Nodes) -> None:
    kind = indexed()
    assert await missing_indexes(nodes.database, "nothing", kind.indexes[3]) == kind.indexes[3]
    await nodes.database.places.create_index("slug", sparse=True)

    assert kind.indexes[3][0] in await missing_indexes(nodes.database, "places", kind.indexes[3])
    with pytest.raises(StoreRejectedError):
        await build_indexes(nodes.database, "places", kind.indexes[3])


async def test_every_declared_index_that_was_built_is_there(nodes: Nodes) -> None:
    declared = [
        "a",
        [("b", -1), ("c", 1)],
        [("d", "text"), ("e", "text")],
        [("at", "2dsphere")],
        [("f", "hashed")],
        {"$**": 1},
        IndexModel("g", unique=True, partialFilterExpression={"g": {"$exists": True}}),
        IndexModel("h", expireAfterSeconds=3600, collation={"locale": "en", "strength": 2}),
    ]
    specs = [IndexSpec.of(index) for index in declared]
    await build_indexes(nodes.database, "places", specs)

    assert await missing_indexes(nodes.database, "places", specs) == ()
