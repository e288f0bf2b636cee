"""
Rows that keep what one step gives back never meet another step under its number.
"""

from typing import Any

import pytest

from docstore import Kind, Step, Store
from docstore import operations as ops
from docstore.core.residue import RESIDUE
from docstore.errors import NodeRefusedError, RolloutRefusedError
from docstore.fleet.operating import Rollouts
from tests.random_kinds import Anything

TO_2 = Step(ops.RenameField("text", "body"), to=2)


def sale(default: str | None) -> Kind[Anything]:
    """
    A kind whose step to version 3 adds a status; None: it is not written yet.
    """
    third = [] if default is None else [Step(ops.AddField("status", default), to=3)]
    return Kind("sale", collection="sales", model=Anything, steps=[TO_2, *third])


def opened(database: Any, kind: Kind[Anything], **options: Any) -> Store:
    return Store(database, kinds=[kind], service="api", **{"dead_after": 60.0, "patience": 0.0, **options})


async def sold(database: Any) -> None:
    """
    A row at 2 keeps that it is sold, and its node is gone.
    """
    await database["sales"].insert_one({"_id": 0, "schema_version": 2, "body": "b"})
    kind = sale("new")
    async with opened(database, kind) as store:
        await store.collection(kind).insert(Anything.model_validate({"_id": 1, "body": "b", "status": "sold"}))
    assert RESIDUE in await database["sales"].find_one({"_id": 1})


async def test_a_step_that_is_written_anew_is_refused_while_rows_keep_what_the_former_gives_back(database: Any) -> None:
    await sold(database)
    with pytest.raises(NodeRefusedError) as caught:
        await opened(database, sale("open")).open()
    [blocker] = caught.value.blockers
    assert (blocker["cause"], blocker["facts"]["versions"]) == ("other_step", [3])
    former, anew = blocker["facts"]["kept_by"], blocker["facts"]["step"]
    assert anew not in former
    assert all(mark in blocker["words"] for mark in [*former, anew])

    async with opened(database, sale(None)), opened(database, sale("new")) as store:
        assert (await store.collection(store.kinds[0]).get(1)).status == "sold"


async def test_a_node_that_only_warns_opens_all_the_same(database: Any) -> None:
    await sold(database)
    async with opened(database, sale("open"), policy="warn") as store:
        assert await store.collection(store.kinds[0]).count() == 2


async def test_nobody_advances_by_a_step_under_whose_number_rows_keep_what_another_gives_back(database: Any) -> None:
    await sold(database)
    async with opened(database, sale(None)):
        with pytest.raises(RolloutRefusedError) as caught:
            await Rollouts(database, by="operator").advance(sale("open"))
    assert any("kept_by" in blocker["facts"] for blocker in caught.value.blockers)


async def test_the_number_is_free_once_no_row_keeps_anything_and_then_it_is_the_new_step_that_counts(
    database: Any,
) -> None:
    await sold(database)
    await database["sales"].delete_one({"_id": 1})
    kind = sale("open")
    async with opened(database, kind) as store:
        await store.collection(kind).insert(Anything.model_validate({"_id": 2, "body": "b", "status": "sold"}))
    assert RESIDUE in await database["sales"].find_one({"_id": 2})

    async with opened(database, kind) as store:
        assert (await store.collection(kind).get(2)).status == "sold"
    with pytest.raises(NodeRefusedError):
        await opened(database, sale("new")).open()


async def test_moves_of_the_rollout_leave_what_is_remembered_of_residues(database: Any) -> None:
    await sold(database)
    kind = sale("new")
    rollouts = Rollouts(database, by="operator")
    async with opened(database, kind):
        await rollouts.canary(kind, 0.0)
        await rollouts.rollback("sale")
    with pytest.raises(NodeRefusedError) as caught:
        await opened(database, sale("open")).open()
    assert any("kept_by" in blocker["facts"] for blocker in caught.value.blockers)
