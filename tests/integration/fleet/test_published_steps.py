"""
Nodes publish their steps, and a node whose code ends below reads through them: admitted, followed, and never guessed.
"""

from typing import Any

import pytest

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.blocker import Cause
from docstore.core.fingerprint import step_fingerprint
from docstore.core.newer_steps import NewerSteps, newer_versions, reading
from docstore.errors import NodeRefusedError
from docstore.fleet.node import Node
from docstore.fleet.step_exchange import StepExchange
from docstore.operations.published_step import STEP_FORMAT
from tests.integration.fleet.conftest import STEADY, Nodes, until


class Thing(Document):
    a: int = 0


SECOND = Step(ops.RenameField("a", "b"), to=2)
THIRD = Step(ops.AddField("c", {"$x": 1}), to=3)
OTHER_THIRD = Step(ops.AddField("c", 2), to=3)


def loud(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "loud": True}


def quiet(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "loud"}


def things(*steps: Step, refuse: bool = False) -> Kind[Thing]:
    kind = Kind("thing", collection="things", model=Thing, steps=steps)
    return kind if refuse else reading(kind, NewerSteps())


async def opened(nodes: Nodes, kind: Kind[Thing], **options: Any) -> Node:
    node = Node(
        nodes.database, [kind], **{"service": "api", "life": STEADY, "streams": False, "patience": 0.0, **options}
    )
    nodes.opened.append(node)
    await node.open()
    return node


async def test_a_node_publishes_its_steps_once(nodes: Nodes) -> None:
    await opened(nodes, things(SECOND, THIRD))
    before = await nodes.database.docstore_steps.find().sort("to").to_list()
    await opened(nodes, things(SECOND, THIRD))

    assert [record["_id"] for record in before] == [
        {"kind": "thing", "to": step.to, "fingerprint": step_fingerprint(step)} for step in (SECOND, THIRD)
    ]
    assert all(record["format"] == STEP_FORMAT for record in before)
    assert await nodes.database.docstore_steps.find().sort("to").to_list() == before


async def test_old_code_is_admitted_where_rows_stand_above_if_the_step_is_published(nodes: Nodes) -> None:
    new = await opened(nodes, things(SECOND, THIRD))
    await nodes.database.things.insert_one({"_id": 1, "schema_version": 3, "b": 1, "c": 2})
    await new.close()
    kind = things(SECOND)

    old = await opened(nodes, kind)

    assert newer_versions(kind) == [3]
    (node,) = (await nodes.fleet()).nodes
    assert (node.id, node.kinds["thing"].latest, node.kinds["thing"].readable) == (old.who.id, 2, 3)
    assert node.kinds["thing"].borrowed == {"3": step_fingerprint(THIRD)}


async def test_old_code_that_refuses_newer_rows_is_not_admitted_there(nodes: Nodes) -> None:
    new = await opened(nodes, things(SECOND, THIRD))
    await nodes.database.things.insert_one({"_id": 1, "schema_version": 3, "b": 1, "c": 2})
    await new.close()

    with pytest.raises(NodeRefusedError) as refused:
        await opened(nodes, things(SECOND, refuse=True))

    assert {blocker["cause"] for blocker in refused.value.blockers} == {
        Cause.CANNOT_READ_ROWS.value,
        Cause.CANNOT_READ_WRITES.value,
    }


@pytest.mark.parametrize(
    "step",
    [
        Step(upgrade=loud, downgrade=quiet, to=3),
        Step(ops.Compute("d", {"$literal": 1}, lambda _: 1), to=3),
        Step(ops.RemoveField("b"), to=3),
    ],
    ids=["functions", "a function in an operation", "no way back"],
)
async def test_a_step_that_cannot_be_run_elsewhere_admits_nobody(nodes: Nodes, step: Step) -> None:
    new = await opened(nodes, things(SECOND, step))
    await nodes.database.things.insert_one({"_id": 1, "schema_version": 3, "b": 1})
    await new.close()
    kind = things(SECOND)

    with pytest.raises(NodeRefusedError, match="only versions up to 2 can be read"):
        await opened(nodes, kind)

    assert newer_versions(kind) == []


async def test_a_live_node_takes_the_steps_of_one_that_joins(nodes: Nodes) -> None:
    kind = things(SECOND)
    await opened(nodes, kind)
    assert newer_versions(kind) == []

    await opened(nodes, things(SECOND, THIRD))

    async def told() -> bool:
        return {node.kinds["thing"].readable for node in (await nodes.fleet()).nodes} == {3}

    await until(told)
    assert newer_versions(kind) == [3]


async def test_a_step_that_was_written_anew_takes_the_place_of_one_that_no_row_was_stored_by(nodes: Nodes) -> None:
    kind = things(SECOND)
    await nodes.database.things.insert_one({"_id": 1, "schema_version": 2, "b": 1})
    await opened(nodes, kind)
    first = await opened(nodes, things(SECOND, THIRD))

    async def reads_by(step: Step) -> bool:
        return bool(kind.newer and kind.newer.steps and kind.newer.steps[0].operations == step.operations)

    await until(lambda: reads_by(THIRD))
    await first.close()
    second = await opened(nodes, things(SECOND, OTHER_THIRD))

    await until(lambda: reads_by(OTHER_THIRD))
    await second.close()
    await opened(nodes, things(SECOND, THIRD))
    await until(lambda: reads_by(THIRD))


async def test_rows_are_read_by_the_step_that_they_were_stored_by(nodes: Nodes) -> None:
    first = await opened(nodes, things(SECOND, THIRD))
    await nodes.database.things.insert_one({"_id": 1, "schema_version": 3, "b": 1, "c": 2})
    await first.close()
    exchange = StepExchange(nodes.database, [things(SECOND, OTHER_THIRD)])
    assert await exchange.publish()
    kind = things(SECOND)

    await opened(nodes, kind)

    assert kind.newer is not None
    assert [step.operations for step in kind.newer.steps] == [THIRD.operations]


async def test_a_step_of_an_unknown_format_is_not_run_and_harms_no_other_kind(nodes: Nodes) -> None:
    await nodes.database.docstore_steps.insert_one(
        {"_id": 1, "format": STEP_FORMAT + 1, "kind": "thing", "to": 3, "text": "b -> c"}
    )
    kind = things(SECOND)

    node = await opened(nodes, kind)

    assert newer_versions(kind) == []
    assert "format 2" in node.steps.reasons["thing", 3]


async def test_those_who_meet_a_newer_row_together_ask_once(nodes: Nodes) -> None:
    kind = things(SECOND)
    now = 0.0
    exchange = StepExchange(nodes.database, [kind], clock=lambda: now)
    assert not await exchange.learn()
    await StepExchange(nodes.database, [things(SECOND, THIRD)]).publish()

    assert not await exchange.learn()
    now = 2.0
    assert await exchange.learn()
    assert newer_versions(kind) == [3]


async def test_the_write_version_moves_where_old_code_reads_through_the_published_step(nodes: Nodes) -> None:
    await nodes.database.things.insert_one({"_id": 1, "schema_version": 2, "b": 1})
    old, new = things(SECOND), things(SECOND, THIRD)
    await opened(nodes, old)
    await opened(nodes, new)

    async def told() -> bool:
        return {node.kinds["thing"].readable for node in (await nodes.fleet()).nodes} == {3}

    await until(told)
    await nodes.rollouts().advance(new)

    async def followed() -> bool:
        control = nodes.opened[0].control("thing")
        return control.write_version == 3

    await until(followed)
    facts = next(node for node in (await nodes.fleet()).nodes if node.kinds["thing"].latest == 2)
    assert facts.kinds["thing"].writes == 3
