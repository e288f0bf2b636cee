"""
What the rules let happen and what they refuse, told as deployments: days that have to go by without a refusal first.
"""

from dataclasses import replace

import pytest

from docstore.core.blocker import Blocker, Cause
from docstore.core.fleet_facts import Policy
from docstore.core.index_spec import MissingIndex
from docstore.core.rollout_gates import Overrides, StepFacts, forward_blockers
from docstore.core.rollout_state import RolloutState
from tests.fleet_world import KIND, LIFE, World, mark, reader

OPEN, CANARY = RolloutState.OPEN, RolloutState.CANARY


def running(*latest: int, version: int = 2) -> World:
    """
    A fleet with rows at a version and a node for each latest.
    """
    world = World(rows=dict.fromkeys(range(6), version))
    for number in latest:
        world.opened(number)
    return world


def causes(blockers: list[Blocker]) -> list[Cause]:
    return [blocker.cause for blocker in blockers]


def test_a_rolling_deploy_over_three_nodes_is_never_refused() -> None:
    world = World(rows=dict.fromkeys(range(6), 2))
    nodes = [world.opened(2, instance=f"i{number}") for number in range(3)]
    for number, node in enumerate(nodes):
        world.wait(1.0)
        world.stop(node)
        world.opened(3, instance=f"i{number}")
        assert list(world.broken()) == []

    assert world.forward(CANARY, percent=10.0) == []
    world.wait(5.0)
    assert world.forward(OPEN) == []
    world.wait(5.0)
    world.rewrite()
    assert world.complete() == []
    assert list(world.broken()) == []


def test_a_rolling_deploy_of_killed_nodes_is_not_refused_once_their_successors_are_there() -> None:
    world = World(rows=dict.fromkeys(range(6), 2))
    nodes = [world.opened(2, instance=f"i{number}") for number in range(3)]
    for number, node in enumerate(nodes):
        world.kill(node)
        world.wait(1.0)
        world.opened(3, instance=f"i{number}")
    world.wait(12.0)

    assert world.forward(OPEN) == []


def test_a_normal_rollback_is_never_refused() -> None:
    world = running(3, 3, 3)
    assert world.forward(OPEN) == []
    world.wait(5.0)
    for node in list(world.processes.values()):
        world.write(node, node.id)

    assert world.rollback() == []
    world.wait(5.0)
    world.rewrite()
    assert world.complete() == []
    world.opened(2)
    assert list(world.broken()) == []


@pytest.mark.parametrize("killed", [False, True])
def test_a_restart_of_the_whole_fleet_is_never_refused(*, killed: bool) -> None:
    world = running(2, 3, 3)
    for node in list(world.processes.values()):
        (world.kill if killed else world.stop)(node)
    for latest in (3, 2, 3):
        world.opened(latest)

    assert list(world.broken()) == []


def test_a_node_waits_for_those_that_were_killed_to_be_dead() -> None:
    world = running(3, version=1)
    world.kill(next(iter(world.processes.values())))
    refused = world.join(world.start(1))
    assert causes(refused) == [Cause.SKEW]

    # Within the time that a node waits before it gives up.
    world.opened(1)
    assert list(world.broken()) == []


def test_two_services_with_releases_at_different_times_are_never_refused() -> None:
    world = World(rows=dict.fromkeys(range(6), 2))
    api = [world.opened(2, service="api") for _ in range(2)]
    jobs = world.opened(2, service="jobs")
    for node in api:
        world.stop(node)
        world.opened(3, service="api")
    world.wait(3600.0)
    assert causes(world.forward(OPEN)) == [Cause.NODE_CANNOT_READ]
    world.stop(jobs)
    world.opened(3, service="jobs")

    assert world.forward(OPEN) == []


def test_a_node_that_was_away_for_two_releases_is_refused_when_it_comes_back() -> None:
    world = running(3, 3)
    away = world.opened(2)
    away.paused = True
    world.wait(LIFE.dead_after + 1)
    assert world.forward(OPEN, overrides=Overrides(ignored_nodes=frozenset({away.id}))) == []
    assert not world.may_write(away)
    away.paused = False

    assert set(causes(world.join(away))) == {Cause.CANNOT_READ_WRITES}
    assert world.write(away, 1) is None


def test_a_paused_node_stops_writing_before_others_take_it_for_dead() -> None:
    world = running(2)
    node = next(iter(world.processes.values()))
    world.wait(LIFE.fence_after - 0.1, beating=False)
    assert world.may_write(node)
    world.wait(0.1, beating=False)

    assert not world.may_write(node)
    assert any(world.fleet().live(KIND))


def test_a_late_answer_counts_from_when_the_heartbeat_was_sent() -> None:
    world = running(2)
    node = next(iter(world.processes.values()))
    world.now += 3.0
    world.beat(node, lag=3.0)
    world.now += LIFE.fence_after - 3.0

    assert not world.may_write(node)


def test_an_operator_who_saw_the_fleet_before_a_node_joined_changes_nothing() -> None:
    world = running(3)
    assert world.control is not None

    def old_node_joins() -> None:
        world.opened(2)

    assert world.forward(OPEN, meanwhile=old_node_joins) == []
    assert world.control.write_version == 2
    assert causes(world.forward(OPEN)) == [Cause.NODE_CANNOT_READ]


def test_a_node_that_looked_before_an_operator_advanced_looks_again() -> None:
    world = running(3)

    def operator_advances() -> None:
        world.forward(OPEN)

    refused = world.join(world.start(2), meanwhile=operator_advances)

    assert causes(refused) == [Cause.CANNOT_READ_WRITES]


def test_latest_versions_two_apart_never_run_together() -> None:
    world = running(2)

    assert causes(world.join(world.start(4))) == [Cause.SKEW]
    assert world.join(world.start(3)) == []
    assert world.join(world.start(2)) == []


@pytest.mark.parametrize(("latest", "floor"), [(3, 2), (2, 2)])
def test_a_floor_above_rows_is_refused(latest: int, floor: int) -> None:
    world = running(3)
    world.rows[1] = 1

    assert causes(world.join(world.start(latest, floor=floor))) == [Cause.FLOOR_ABOVE_ROWS]


def test_a_node_is_refused_while_others_may_still_store_what_it_cannot_read() -> None:
    world = running(3)
    node = next(iter(world.processes.values()))
    world.forward(OPEN)
    world.wait(2.0)
    world.rollback()
    world.rewrite()
    old = world.start(2)
    assert causes(world.join(old)) == [Cause.CANNOT_READ_WRITES]
    world.beat(node)

    assert world.join(old) == []


def test_another_step_under_the_same_number_is_refused() -> None:
    world = running(3)
    node = world.start(3)
    record = next(iter(world.records.values()))
    kind = replace(record.kinds[KIND], fingerprints={"2": mark(2), "3": "edited"})
    world.records[record.id] = replace(record, kinds={KIND: kind})

    refused = world.join(node)

    assert causes(refused) == [Cause.OTHER_STEP]
    assert refused[0].facts["versions"] == [3]


def test_whoever_is_refused_beside_two_nodes_that_only_warn_and_differ_is_told_of_both() -> None:
    world = running(3, 3)
    there = dict(world.records)
    for (place, record), edited in zip(there.items(), ("one", "other"), strict=True):
        kind = replace(record.kinds[KIND], fingerprints={"2": mark(2), "3": edited})
        world.records[place] = replace(record, policy=Policy.WARN, kinds={KIND: kind})

    refused = world.join(world.start(3))

    assert causes(refused) == [Cause.OTHER_STEP, Cause.OTHER_STEP]
    assert {blocker.facts["node"] for blocker in refused} == set(there)
    assert {blocker.facts["policy"] for blocker in refused} == {"warn"}
    assert all("(policy warn) has another step to version 3 of" in blocker.words for blocker in refused)
    assert all(blocker.words.endswith("one of the two has to end") for blocker in refused)


def test_a_node_that_only_warns_is_admitted_and_blocks_all_the_same() -> None:
    world = running(3)

    assert world.join(world.start(1, policy=Policy.WARN)) == []
    assert Cause.NODE_CANNOT_READ in causes(world.forward(OPEN))
    assert Cause.SKEW in causes(world.join(world.start(3)))


def test_a_declared_reader_blocks_like_a_node_and_has_to_read_what_is_stored() -> None:
    world = running(3)
    assert world.declare(reader("nightly", 1, 2)) == []
    assert causes(world.declare(reader("java", 1, 1))) == [Cause.CANNOT_READ_WRITES, Cause.CANNOT_READ_ROWS]

    assert causes(world.forward(OPEN)) == [Cause.READER_CANNOT_READ]
    world.readers = ()
    assert world.forward(OPEN) == []


def test_nodes_that_vanished_are_named_until_they_are_ignored_or_an_hour_is_over() -> None:
    world = running(3, 2)
    world.kill(list(world.processes.values())[1])
    world.wait(LIFE.dead_after)
    refused = world.forward(OPEN)
    assert causes(refused) == [Cause.UNCLEAN_DEATH]

    again = world.situation()
    step = StepFacts(mark(3), invertible=True)
    ignored = Overrides(ignored_nodes=frozenset({refused[0].facts["instance"]}))
    assert forward_blockers(again, OPEN, step, ignored) == []
    world.wait(3600.0)
    assert world.forward(OPEN) == []


def test_a_vanished_node_does_not_hold_up_a_rollback_that_it_could_read() -> None:
    world = running(3, 3)
    world.forward(OPEN)
    world.wait(5.0)
    world.kill(list(world.processes.values())[1])
    world.wait(LIFE.dead_after)

    assert world.rollback() == []


def test_everything_that_is_in_the_way_is_told_at_once() -> None:
    world = running(2, 2)
    world.frozen = True
    world.declare(reader("nightly", 1, 2))
    step = StepFacts(mark(3), invertible=False, missing_indexes=(MissingIndex("slug_1", "db.places..."),))
    now = replace(world.situation(), open_rollouts=("city",))

    blockers = forward_blockers(now, OPEN, step, Overrides())

    assert causes(blockers) == [
        Cause.FROZEN,
        Cause.OTHER_ROLLOUT,
        Cause.NODE_CANNOT_READ,
        Cause.NODE_CANNOT_READ,
        Cause.READER_CANNOT_READ,
        Cause.IRREVERSIBLE,
        Cause.MISSING_INDEX,
    ]
    assert all(blocker.words and blocker.kind == KIND for blocker in blockers)
    overrides = Overrides(alongside=True, irreversible=True)
    left = causes(forward_blockers(now, OPEN, step, overrides))
    assert Cause.OTHER_ROLLOUT not in left
    assert Cause.IRREVERSIBLE not in left


def test_without_a_live_node_nobody_advances_or_rolls_back_unless_told_so() -> None:
    world = running(3)
    world.stop(next(iter(world.processes.values())))

    assert causes(world.forward(OPEN)) == [Cause.NO_LIVE_NODE]
    assert world.forward(OPEN, overrides=Overrides(no_fleet=True)) == []
    assert causes(world.rollback()) == [Cause.NO_LIVE_NODE]


def test_a_freeze_lets_operators_roll_back_and_nothing_else() -> None:
    world = running(3)
    world.forward(CANARY, percent=5.0)
    world.frozen = True

    assert causes(world.forward(CANARY, percent=50.0)) == [Cause.FROZEN]
    assert causes(world.forward(OPEN)) == [Cause.FROZEN]
    assert world.rollback() == []


def test_a_rollback_below_the_floor_of_a_live_node_is_refused() -> None:
    world = running(3)
    world.forward(OPEN)
    world.wait(2.0)
    world.rewrite()
    world.complete()
    world.opened(3, floor=3)

    assert causes(world.rollback()) == [Cause.NODE_CANNOT_READ]


def test_a_rollout_is_not_complete_while_rows_are_left_or_nodes_have_not_heard_of_it() -> None:
    world = running(3)
    world.forward(OPEN)
    assert causes(world.complete()) == [Cause.NOT_ACKNOWLEDGED, Cause.ROWS_LEFT]
    world.wait(2.0)
    world.rewrite()
    assert world.complete() == []
    assert causes(world.complete()) == [Cause.WRONG_STATE]


def test_the_old_binary_is_released_again_after_the_flip() -> None:
    world = World(rows=dict.fromkeys(range(4), 2))
    nodes = [world.opened(3, instance=f"i{number}") for number in range(3)]
    assert world.forward(RolloutState.OPEN) == []
    world.wait(LIFE.beat)
    for row in range(4):
        assert world.write(nodes[0], row) == 3

    for number, node in enumerate(nodes):
        world.stop(node)
        old = world.opened(2, instance=f"i{number}", borrows=True)
        assert world.write(old, number) == 3
        assert world.write(old, 10 + number) == 3
        world.wait(LIFE.beat)

    assert set(world.rows.values()) == {3}
    assert list(world.broken()) == []


def test_the_old_binary_that_refuses_newer_rows_is_not_admitted_after_the_flip() -> None:
    world = World(rows=dict.fromkeys(range(4), 2))
    node = world.opened(3)
    assert world.forward(RolloutState.OPEN) == []
    world.wait(LIFE.beat)
    world.write(node, 0)

    assert causes(world.join(world.start(2))) == [Cause.CANNOT_READ_WRITES, Cause.CANNOT_READ_ROWS]


def test_a_node_does_not_read_by_another_step_than_the_one_that_is_to_be_stored_by() -> None:
    world = World(rows={1: 2})
    old = world.opened(2, borrows=True)
    new = world.opened(3)
    world.wait(LIFE.beat)
    facts = world.records[old.id]
    kind = replace(facts.kinds[KIND], borrowed={"3": "an earlier draft of the step"})
    world.records[old.id] = replace(facts, kinds={KIND: kind})

    assert causes(world.forward(RolloutState.OPEN)) == [Cause.OTHER_STEP]
    world.wait(LIFE.beat)
    assert world.forward(RolloutState.OPEN) == []
    assert new.admitted
