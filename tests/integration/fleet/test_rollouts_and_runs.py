"""
Rollouts and the runs that move their rows: who begins, who ends, and what is left.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from itertools import count
from typing import Any

import pytest

from docstore import Kind, Step, commands
from docstore.backfill.retrying import Retry
from docstore.backfill.rollout_following import RolloutFollowing
from docstore.core.blocker import Cause
from docstore.core.direction import Direction
from docstore.core.rollout_state import RolloutState
from docstore.core.run_state import RunState
from docstore.errors import BackfillRefusedError, NodeRefusedError, NotInFleetError, RolloutRefusedError
from docstore.fleet.node import Node
from docstore.fleet.rollout_status import RolloutStatus, rollout_statuses
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.runs import Runs
from tests.integration.fleet.conftest import STEADY, Nodes, until
from tests.kinds import Place, place_kind, stored

KIND = place_kind(latest=3)
BY = "operator"


async def started(nodes: Nodes, kind: Kind[Any] = KIND, **options: Any) -> Node:
    node = Node(nodes.database, [kind], service="api", life=STEADY, streams=False, patience=0.0, **options)
    nodes.opened.append(node)
    await node.open()
    return node


async def seeded(nodes: Nodes, old: int = 3, new: int = 0) -> None:
    rows = [stored(2, number) for number in range(old)] + [stored(3, 100 + number) for number in range(new)]
    await nodes.database.places.insert_many(rows)


async def worked(nodes: Nodes, kind: Kind[Any] = KIND) -> None:
    """
    Have a worker do everything that is open.
    """
    await commands.work(nodes.database, [kind], drain=True, throttled=False)


async def states(nodes: Nodes) -> list[str]:
    return [entry["after"] for entry in await ControlRecords(nodes.database).history(kind="place", limit=20)]


async def versions(nodes: Nodes) -> list[int]:
    return sorted([row["schema_version"] async for row in nodes.database.places.find()])


async def status(nodes: Nodes, kind: Kind[Any] = KIND) -> RolloutStatus:
    return (await rollout_statuses(nodes.database, [kind]))[0]


async def runs(nodes: Nodes) -> list[dict[str, Any]]:
    return [run async for run in nodes.database.docstore_runs.find().sort("_id", 1)]


async def knows(node: Node, version: int) -> bool:
    return node.control("place").write_version == version


async def test_asking_for_a_backfill_begins_it_and_the_count_of_its_end_completes_the_rollout(nodes: Nodes) -> None:
    await seeded(nodes)
    await started(nodes)
    await commands.rollout_advance(nodes.database, KIND, by=BY)

    await commands.backfill_start(nodes.database, KIND, by=BY)
    assert (await status(nodes)).state is RolloutState.BACKFILLING
    await worked(nodes)

    assert (await status(nodes)).state is RolloutState.COMPLETE
    assert await versions(nodes) == [3, 3, 3]
    assert await states(nodes) == ["stable", "open", "backfilling", "complete"]


async def test_a_backfill_in_the_process_that_asks_for_it_does_the_same(nodes: Nodes) -> None:
    await seeded(nodes)
    await started(nodes)
    await commands.rollout_advance(nodes.database, KIND, by=BY)

    await commands.backfill(nodes.database, KIND, throttled=False)

    assert await states(nodes) == ["stable", "open", "backfilling", "complete"]


async def test_a_rollout_of_a_kind_without_rows_below_is_complete_after_a_backfill_too(nodes: Nodes) -> None:
    await nodes.database.places.insert_one(stored(2))
    await started(nodes)
    await commands.rollout_advance(nodes.database, KIND, by=BY)
    await nodes.database.places.delete_many({})

    await commands.backfill(nodes.database, KIND, throttled=False)

    assert (await status(nodes)).state is RolloutState.COMPLETE


async def test_a_cancelled_backfill_leaves_the_rollout_open_and_a_run_over_some_rows_says_nothing(nodes: Nodes) -> None:
    await seeded(nodes)
    await started(nodes)
    await commands.rollout_advance(nodes.database, KIND, by=BY)
    await commands.backfill_start(nodes.database, KIND, ids=[0], by=BY)
    assert (await status(nodes)).state is RolloutState.OPEN
    await worked(nodes)
    assert (await status(nodes)).state is RolloutState.OPEN

    await commands.backfill_start(nodes.database, KIND, by=BY)
    await commands.backfill_cancel(nodes.database, "place", by=BY)
    await worked(nodes)

    assert (await status(nodes)).state is RolloutState.OPEN
    assert await states(nodes) == ["stable", "open", "backfilling", "open"]
    assert await versions(nodes) == [2, 2, 3]


async def test_rows_in_quarantine_keep_a_rollout_from_completing_and_are_listed(nodes: Nodes) -> None:
    await seeded(nodes)
    await nodes.database.places.insert_one({"_id": 7, "schema_version": 2, "name": 5})
    await started(nodes)
    await commands.rollout_advance(nodes.database, KIND, by=BY)

    await commands.backfill(nodes.database, KIND, throttled=False)

    now = await status(nodes)
    assert (now.state, now.run.state if now.run else None) == (RolloutState.BACKFILLING, RunState.SUCCEEDED)
    assert [(stuck.rows, stuck.version, stuck.step) for stuck in now.stuck] == [(1, 2, 3)]
    await nodes.database.places.update_one({"_id": 7}, {"$set": {"name": "Bergen"}})
    await commands.quarantine_retry(nodes.database, KIND)
    await worked(nodes)
    assert (await status(nodes)).state is RolloutState.COMPLETE


async def test_a_rollback_cancels_the_run_up_and_a_worker_brings_every_row_back(nodes: Nodes) -> None:
    await seeded(nodes, old=3, new=0)
    node = await started(nodes)
    await commands.rollout_advance(nodes.database, KIND, by=BY)
    await nodes.database.places.insert_many([stored(3, 200), stored(3, 201)])
    await commands.backfill_start(nodes.database, KIND, by=BY)

    back = await commands.rollout_rollback(nodes.database, KIND, by=BY, why="errors")

    assert (back.state, back.write_version) == (RolloutState.ROLLING_BACK, 2)
    assert back.run is not None
    assert (back.run.direction, back.run.target, back.run.state) == (Direction.DOWN, 2, RunState.ENQUEUED)
    assert [run["state"] for run in await runs(nodes)] == ["cancelled", "enqueued"]
    assert any("rows of place stand at version 3" in words for words in back.release_before_blocked_by)
    await until(lambda: knows(node, 2))
    await worked(nodes)

    done = await status(nodes)
    assert (done.state, done.release_before_blocked_by) == (RolloutState.STABLE, ())
    assert await versions(nodes) == [2] * 5
    assert [row async for row in nodes.database.places.find({"slug": {"$exists": True}})] == []
    # The release before is admitted now.
    await nodes.open(2)


async def test_a_rollback_before_anything_was_stored_above_is_over_at_once(nodes: Nodes) -> None:
    await seeded(nodes)
    await started(nodes)
    await commands.rollout_canary(nodes.database, KIND, 5.0, by=BY)

    back = await commands.rollout_rollback(nodes.database, KIND, by=BY, settling=60.0)

    assert (back.state, back.run) == (RolloutState.STABLE, None)


async def test_a_complete_rollout_goes_back_and_forward_again(nodes: Nodes) -> None:
    await seeded(nodes)
    await started(nodes)
    for _ in range(2):
        await commands.rollout_advance(nodes.database, KIND, by=BY)
        await commands.backfill(nodes.database, KIND, throttled=False)
        assert await versions(nodes) == [3, 3, 3]
        await commands.rollout_rollback(nodes.database, KIND, by=BY)
        await worked(nodes)
        assert await versions(nodes) == [2, 2, 2]

    cycle = ["open", "backfilling", "complete", "rolling_back", "stable"]
    assert await states(nodes) == ["stable", *cycle, *cycle]


async def test_advancing_again_before_all_rows_are_back_cancels_the_way_back(nodes: Nodes) -> None:
    await seeded(nodes, new=1)
    await nodes.database.places.delete_one({"_id": 100})
    await started(nodes)
    await commands.rollout_advance(nodes.database, KIND, by=BY)
    await nodes.database.places.insert_one(stored(3, 100))
    await commands.rollout_rollback(nodes.database, KIND, by=BY)

    forward = await commands.rollout_advance(nodes.database, KIND, by=BY)
    assert (forward.state, forward.run.state if forward.run else None) == (RolloutState.OPEN, RunState.CANCELLED)
    await worked(nodes)
    assert await versions(nodes) == [2, 2, 2, 3]

    await commands.rollout_rollback(nodes.database, KIND, by=BY)
    await worked(nodes)
    assert await versions(nodes) == [2] * 4
    assert (await status(nodes)).state is RolloutState.STABLE


async def test_a_worker_finishes_what_an_operator_began_who_died(nodes: Nodes) -> None:
    await seeded(nodes)
    await started(nodes)
    await commands.rollout_advance(nodes.database, KIND, by=BY)
    await nodes.database.places.insert_one(stored(3, 100))
    await commands.backfill_start(nodes.database, KIND, by=BY)
    # The move alone, as a canary's rule makes it, or a command that was killed after it.
    await nodes.rollouts().rollback("place")

    await worked(nodes)

    assert (await status(nodes)).state is RolloutState.STABLE
    assert await versions(nodes) == [2] * 4


async def test_what_the_way_back_could_not_bring_down_is_listed_and_a_loss_is_accepted_in_so_many_words(
    nodes: Nodes,
) -> None:
    kind = lossy()
    await nodes.database.places.insert_many([stored(2, number) for number in range(2)])
    await started(nodes, kind)
    await commands.rollout_advance(nodes.database, kind, by=BY)
    await nodes.database.places.insert_many(
        [stored(3, 100), {**stored(3, 101), "slug": "own"}, {**stored(3, 102), "name": "odd"}]
    )
    with pytest.raises(RolloutRefusedError) as caught:
        await commands.rollout_accept_loss(nodes.database, kind, by=BY)
    assert [blocker["cause"] for blocker in caught.value.blockers] == [Cause.WRONG_STATE]
    await commands.rollout_rollback(nodes.database, kind, by=BY)
    with pytest.raises(RolloutRefusedError) as caught:
        await commands.rollout_accept_loss(nodes.database, kind, by=BY)
    assert [blocker["cause"] for blocker in caught.value.blockers] == [Cause.RUN_OPEN, Cause.ROWS_LEFT]
    await worked(nodes, kind)

    stuck = await status(nodes, kind)
    assert stuck.state is RolloutState.ROLLING_BACK
    assert [(each.error, each.path, each.rows) for each in stuck.stuck] == [
        ("NotExpressibleError", "slug", 2),
        ("DowngradeFailedError", None, 1),
    ]
    loss = await commands.rollout_accept_loss(nodes.database, kind, by=BY, why="nobody needs own slugs")

    assert (loss.trimmed, loss.left) == (2, 1)
    done = await status(nodes, kind)
    assert done.state is RolloutState.STABLE
    assert any("stand at version 3" in words for words in done.release_before_blocked_by)
    entries = await ControlRecords(nodes.database).history(kind="place", limit=1)
    assert "the loss was accepted" in entries[-1]["why"]
    assert "nobody needs own slugs" in entries[-1]["why"]
    assert (await nodes.database.places.find_one({"_id": 102}))["schema_version"] == 3
    # A row is left that the step has made, so another step of the same number is not admitted.
    with pytest.raises(NodeRefusedError) as refused:
        await started(nodes, KIND)
    assert {blocker["cause"] for blocker in refused.value.blockers} == {Cause.OTHER_STEP}


def lossy() -> Kind[Place]:
    """
    A kind whose last step never gives the same twice, so that nothing can be kept of a slug, and refuses some rows.
    """
    serial = count()

    def up(row: dict[str, Any]) -> dict[str, Any]:
        row["slug"] = str(next(serial))
        return row

    def down(row: dict[str, Any]) -> dict[str, Any]:
        if row["name"] == "odd":
            raise ValueError("odd")
        row.pop("slug", None)
        return row

    steps = [place_kind(latest=2).steps[0], Step(upgrade=up, downgrade=down, to=3)]
    return Kind("place", collection="places", model=Place, steps=steps)


async def test_a_rollback_below_the_floor_of_the_code_at_hand_is_refused(nodes: Nodes) -> None:
    await seeded(nodes)
    await started(nodes)
    await commands.rollout_advance(nodes.database, KIND, by=BY)
    with pytest.raises(RolloutRefusedError) as caught:
        await commands.rollout_rollback(nodes.database, place_kind(floor=3), by=BY)

    assert [blocker["cause"] for blocker in caught.value.blockers] == [Cause.BELOW_FLOOR]
    with pytest.raises(NotInFleetError):
        await commands.rollout_accept_loss(nodes.database, other(), by=BY)


def other() -> Kind[Place]:
    return Kind("other", collection="others", model=Place)


async def test_a_rollout_waits_for_every_node_to_acknowledge_before_it_ends(nodes: Nodes) -> None:
    await seeded(nodes)
    await started(nodes)
    late = await started(nodes, instance="late")
    await commands.rollout_advance(nodes.database, KIND, by=BY)
    await until(lambda: knows(late, 3))
    with late.writing("place"):
        await commands.rollout_rollback(nodes.database, KIND, by=BY, settling=0.5)
        assert (await status(nodes)).state is RolloutState.ROLLING_BACK
    await worked(nodes)
    assert (await status(nodes)).state is RolloutState.STABLE


async def _brought_back_here(nodes: Nodes) -> None:
    await commands.backfill(nodes.database, KIND, to=2, direction=Direction.DOWN, throttled=False)


@pytest.mark.parametrize("work", [worked, _brought_back_here])
async def test_no_row_goes_down_while_a_node_may_still_store_the_version_above(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, work: Callable[[Nodes], Coroutine[Any, Any, None]]
) -> None:
    looks = []
    real = RolloutFollowing.holds_back

    async def counted(self: RolloutFollowing, run: Any) -> bool:
        looks.append(await real(self, run))
        return looks[-1]

    monkeypatch.setattr(RolloutFollowing, "holds_back", counted)
    await seeded(nodes, old=1)
    late = await started(nodes)
    await commands.rollout_advance(nodes.database, KIND, by=BY)
    await until(lambda: knows(late, 3))
    await nodes.database.places.insert_one(stored(3, 100))
    with late.writing("place"):
        await commands.rollout_rollback(nodes.database, KIND, by=BY, settling=0.1)
        working = asyncio.create_task(work(nodes))
        await until(lambda: enough(looks), seconds=60.0)
        assert await versions(nodes) == [2, 3]
        (run,) = await commands.backfill_status(nodes.database, "place")
        # Who works a run in its own process shows that by itself.
        assert [worker.note.startswith("waits for a node") for worker in run.workers] == [True] * (work is worked)
    await working

    assert await versions(nodes) == [2, 2]


async def enough(looks: list[bool]) -> bool:
    return looks[:2] == [True, True]


async def test_any_number_of_workers_may_follow_a_rollout_at_once(nodes: Nodes) -> None:
    await seeded(nodes, old=30)
    await started(nodes)
    await commands.rollout_advance(nodes.database, KIND, by=BY)
    await commands.backfill_start(nodes.database, KIND, by=BY)
    await asyncio.gather(*(worked(nodes) for _ in range(3)))
    assert await states(nodes) == ["stable", "open", "backfilling", "complete"]
    await nodes.rollouts().rollback("place")
    await asyncio.gather(*(worked(nodes) for _ in range(3)))

    assert await states(nodes) == ["stable", "open", "backfilling", "complete", "rolling_back", "stable"]
    assert [run["direction"] for run in await runs(nodes)] == ["up", "down"]


async def test_a_way_back_that_is_asked_for_just_after_an_operator_advanced_again_is_cancelled(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seeded(nodes)
    await started(nodes)
    await commands.rollout_advance(nodes.database, KIND, by=BY)
    await nodes.database.places.insert_one(stored(3, 100))
    await nodes.rollouts().rollback("place")
    real = Runs.enqueue

    async def late(self: Runs, **asked: Any) -> Any:
        monkeypatch.setattr(Runs, "enqueue", real)
        await commands.rollout_advance(nodes.database, KIND, by="another")
        return await real(self, **asked)

    monkeypatch.setattr(Runs, "enqueue", late)
    await worked(nodes)

    assert [(run["direction"], run["state"]) for run in await runs(nodes)] == [("down", "cancelled")]
    assert (await status(nodes)).state is RolloutState.OPEN
    assert await versions(nodes) == [2, 2, 2, 3]


async def _while_retrying(nodes: Nodes, patch: pytest.MonkeyPatch, move: Callable[[], Awaitable[Any]]) -> None:
    """
    Have an operator make a move between the reading of rows that are tried again and their writing.
    """
    read = Retry._read
    moved = False

    async def reading(self: Retry, ids: Any) -> Any:
        nonlocal moved
        rows = await read(self, ids)
        if not moved:
            moved = True
            await move()
            asked = (await nodes.control()).epoch

            async def heard() -> bool:
                return self._member.control("place").epoch == asked

            await until(heard, seconds=60)
        return rows

    patch.setattr(Retry, "_read", reading)


async def test_rows_that_are_tried_again_do_not_go_above_a_write_version_that_goes_back_meanwhile(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await nodes.database.places.insert_one({"_id": 7, "schema_version": 2, "name": 5})
    await started(nodes)
    await commands.rollout_advance(nodes.database, KIND, by=BY)
    await commands.backfill(nodes.database, KIND, throttled=False)
    await nodes.database.places.update_one({"_id": 7}, {"$set": {"name": "Bergen"}})
    await _while_retrying(nodes, monkeypatch, lambda: nodes.rollouts().rollback("place"))

    with pytest.raises(BackfillRefusedError, match="the write version is 2 by now"):
        await commands.quarantine_retry(nodes.database, KIND)

    assert await versions(nodes) == [2]


async def test_nothing_is_trimmed_for_a_rollback_that_an_operator_has_given_up_meanwhile(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = lossy()
    await nodes.database.places.insert_one(stored(2, 1))
    await started(nodes, kind)
    await commands.rollout_advance(nodes.database, kind, by=BY)
    await nodes.database.places.insert_one({**stored(3, 101), "slug": "own"})
    await commands.rollout_rollback(nodes.database, kind, by=BY)
    await worked(nodes, kind)
    await _while_retrying(nodes, monkeypatch, lambda: nodes.rollouts().advance(kind))

    with pytest.raises(BackfillRefusedError, match="the rollout is open by now"):
        await commands.rollout_accept_loss(nodes.database, kind, by=BY)

    assert (await nodes.database.places.find_one({"_id": 101}))["slug"] == "own"
