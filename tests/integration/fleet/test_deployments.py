"""
Days that have to go by without a refusal, on a real server.
"""

import asyncio
from typing import Any

import pytest

from docstore.core.rollout_state import RolloutState
from docstore.fleet.node import Node
from docstore.mongo.row_ends import row_ends
from tests.integration.fleet.conftest import STEADY, Nodes, silent, until
from tests.kinds import place_kind

OLD, NEW = 2, 3
KIND = place_kind(latest=NEW)


async def replaced(nodes: Nodes, old: Node, latest: int, *, service: str = "api") -> Node:
    """
    Close a node, and open its successor in the same place.
    """
    await old.close()
    return await nodes.open(latest, service=service, instance=old.who.instance, patience=10.0)


async def settled(nodes: Nodes) -> bool:
    return (await nodes.fleet()).settled(await nodes.control())


async def rewritten(nodes: Nodes, version: int) -> None:
    """
    Have every row stand at a version, and end the rollout.
    """
    await until(lambda: settled(nodes))
    await nodes.database.places.update_many({}, {"$set": {"schema_version": version}})
    rows = await row_ends(nodes.database, collection="places", field="schema_version", baseline=1)
    await nodes.rollouts().complete("place", rows)


async def test_a_rolling_deploy_over_three_nodes_is_never_refused(nodes: Nodes) -> None:
    await nodes.rows(OLD, OLD)
    running = [await nodes.open(OLD, instance=f"i{number}") for number in range(3)]
    for number, node in enumerate(running):
        running[number] = await replaced(nodes, node, NEW)
        # Until the flip every node stores what the oldest one reads.
        assert {each.version_for("place", 1) for each in running} == {OLD}

    await nodes.rollouts().canary(KIND, 10.0)
    await nodes.rollouts().advance(KIND)
    await rewritten(nodes, NEW)

    assert (await nodes.control()).state is RolloutState.COMPLETE
    for node in running:
        node.may_write()


async def test_a_normal_rollback_is_never_refused(nodes: Nodes) -> None:
    await nodes.rows(OLD, OLD)
    running = [await nodes.open(NEW, instance=f"i{number}") for number in range(3)]
    await nodes.rollouts().advance(KIND)
    await nodes.rows(NEW)

    await nodes.rollouts().rollback("place")
    await rewritten(nodes, OLD)
    for node in running:
        await replaced(nodes, node, OLD)

    assert (await nodes.control()).state is RolloutState.STABLE
    assert len(list((await nodes.fleet()).live())) == 3


@pytest.mark.parametrize("killed", [False, True])
async def test_a_restart_of_the_whole_fleet_is_never_refused(nodes: Nodes, *, killed: bool) -> None:
    await nodes.rows(OLD, OLD)
    running = [await nodes.open(latest, instance=f"i{latest}") for latest in (OLD, NEW)]
    for node in running:
        if killed:
            # Dead in a second.
            await silent(nodes.database, node, STEADY.dead_after - 1.0)
        else:
            await node.close()

    again = await asyncio.gather(
        *(nodes.open(latest, instance=f"i{latest}", patience=60.0) for latest in (NEW, OLD, NEW, OLD))
    )

    assert {node.version_for("place", 1) for node in again} == {OLD}


async def test_two_services_with_releases_at_different_times_are_never_refused(nodes: Nodes) -> None:
    await nodes.rows(OLD, OLD)
    api: list[Any] = [await nodes.open(OLD, instance=f"i{number}") for number in range(2)]
    jobs = await nodes.open(OLD, service="jobs", instance="j1")
    api = [await replaced(nodes, node, NEW) for node in api]
    assert {node.version_for("place", 1) for node in [*api, jobs]} == {OLD}
    jobs = await replaced(nodes, jobs, NEW, service="jobs")

    await nodes.rollouts().advance(KIND)

    await until(lambda: settled(nodes))
    assert {node.version_for("place", 1) for node in [*api, jobs]} == {NEW}
