"""
Canaries that roll themselves back, on what all nodes counted.
"""

import asyncio

import pytest

from docstore.core.abort_rule import AbortRule, CanaryFigures
from docstore.core.rollout_state import RolloutState
from docstore.errors import RolloutRefusedError
from docstore.fleet.canary_watch import CanaryWatch, canary_figures
from docstore.fleet.controls import FleetControls
from docstore.fleet.node import Node
from docstore.mongo.control_records import ControlRecords
from tests.integration.fleet.conftest import Nodes, until, vanish
from tests.kinds import place_kind

KIND = place_kind(latest=3)
RULE = AbortRule(10.0, least=20)


def observe(node: Node, operations: int, failures: int, *, version: int = 3) -> None:
    for number in range(operations):
        node.observed("place", version, failed=number < failures)


async def knows_canary(node: Node) -> bool:
    return node.control("place").canary is not None


async def all_know_canary(running: list[Node]) -> bool:
    return all([await knows_canary(node) for node in running])


async def counted(nodes: Nodes) -> CanaryFigures | None:
    return canary_figures((await nodes.fleet()).nodes, await nodes.control())


async def reached(nodes: Nodes, operations: int) -> bool:
    figures = await counted(nodes)
    return figures is not None and figures.operations == operations


async def settled(nodes: Nodes) -> bool:
    return (await nodes.fleet()).settled(await nodes.control())


async def is_rolled_back(nodes: Nodes) -> bool:
    return (await nodes.control()).state is RolloutState.ROLLING_BACK


async def test_a_canary_whose_rule_is_broken_by_the_sum_of_all_nodes_goes_back_once_and_says_why(nodes: Nodes) -> None:
    await nodes.rows(2)
    running = [await nodes.open(3, instance=f"i{number}") for number in range(3)]
    await nodes.rollouts().canary(KIND, 50.0, abort_on=RULE)
    await until(lambda: all_know_canary(running))
    # Neither of them has enough by itself; rows at other versions say nothing.
    observe(running[0], 10, 0)
    observe(running[0], 100, 100, version=2)
    observe(running[1], 12, 3)

    await until(lambda: is_rolled_back(nodes))

    control = await nodes.control()
    assert (control.write_version, control.canary) == (2, None)
    entries = await ControlRecords(nodes.database).history(kind="place", limit=10)
    assert [entry["after"] for entry in entries] == ["stable", "canary", "rolling_back"]
    assert entries[-1]["by"] in {f"api/i{number}" for number in range(3)}
    assert "3 of 22 operations failed on rows at version 3 (rule: errors>10% of 20)" in entries[-1]["why"]
    assert "back if errors>10% of 20" in entries[1]["why"]


async def test_a_canary_stays_while_too_little_was_counted_or_no_more_failed_than_the_rule_allows(nodes: Nodes) -> None:
    await nodes.rows(2)
    node = await nodes.open(3)
    await nodes.rollouts().canary(KIND, 50.0, abort_on=RULE)
    await until(lambda: knows_canary(node))
    observe(node, 19, 19)
    await until(lambda: reached(nodes, 19))
    await asyncio.sleep(0.4)
    assert not await is_rolled_back(nodes)

    observe(node, 171, 0)
    await until(lambda: reached(nodes, 190))
    await asyncio.sleep(0.4)

    assert not await is_rolled_back(nodes)


async def test_figures_of_an_earlier_canary_and_without_a_rule_roll_nothing_back(nodes: Nodes) -> None:
    await nodes.rows(2)
    node = await nodes.open(3)
    await nodes.rollouts().canary(KIND, 50.0)
    await until(lambda: knows_canary(node))
    observe(node, 50, 50)
    await until(lambda: reached(nodes, 50))
    await asyncio.sleep(0.3)
    assert not await is_rolled_back(nodes)
    await nodes.rollouts().rollback("place")
    await until(lambda: settled(nodes))
    await nodes.rollouts().complete("place", await nodes.ends())

    await nodes.rollouts().canary(KIND, 50.0, abort_on=RULE)
    await until(lambda: knows_canary(node))
    await asyncio.sleep(0.4)

    assert not await is_rolled_back(nodes)
    assert await counted(nodes) == CanaryFigures((await nodes.control()).epoch)


async def test_what_a_node_counted_that_was_killed_still_counts_and_a_freeze_prevents_nothing(nodes: Nodes) -> None:
    await nodes.rows(2)
    node, other = await nodes.open(3), await nodes.open(3, instance="other")
    await nodes.rollouts().canary(KIND, 50.0, abort_on=RULE)
    await until(lambda: knows_canary(node))
    vanish(other)
    observe(node, 15, 15)
    await until(lambda: reached(nodes, 15))
    vanish(node)
    await FleetControls(nodes.database, by="operator").freeze("incident")

    third = await nodes.open(3, instance="third")
    observe(third, 5, 0)

    await until(lambda: is_rolled_back(nodes))


async def test_of_several_that_see_a_broken_rule_one_rolls_back_and_an_operator_who_was_quicker_is_not_undone(
    nodes: Nodes,
) -> None:
    await nodes.rows(2)
    node = await nodes.open(3)
    await nodes.rollouts().canary(KIND, 50.0)
    await until(lambda: knows_canary(node))
    observe(node, 50, 50)
    await until(lambda: reached(nodes, 50))
    await nodes.rollouts().canary(KIND, 60.0, abort_on=RULE)
    seen = await nodes.control()
    watches = [CanaryWatch(nodes.database, by=f"w{number}", patience=5.0) for number in range(4)]
    await asyncio.gather(*(watch.look([seen]) for watch in watches))
    history = await ControlRecords(nodes.database).history(kind="place", limit=10)
    assert [entry["after"] for entry in history][-2:] == ["canary", "rolling_back"]

    advanced = await nodes.rollouts().advance(KIND)
    await watches[0].look([seen])

    assert await nodes.control() == advanced
    with pytest.raises(RolloutRefusedError):
        await nodes.rollouts().rollback("place", only_epoch=seen.epoch)
