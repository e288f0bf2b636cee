"""
What keeps versions from being retired, and what a retirement keeps others from.
"""

import datetime
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from docstore.core.blocker import Cause
from docstore.core.coverage import ClientVersion, TagCount
from docstore.core.fleet_facts import DeclaredReader, Fleet, NodeFacts, NodeKind, Policy
from docstore.core.floor_state import FloorState, Retiring
from docstore.core.retirement_gates import Retirement, RetirementFacts, retirable_below, retirement_blockers
from docstore.core.rollout_gates import Overrides, Situation, StepFacts, forward_blockers, rollback_blockers
from docstore.core.rollout_state import RolloutState
from docstore.core.way_back import WayBack, way_back
from docstore.core.write_version import ControlState, StoredRows, Unsettled, VersionRange

NOW = datetime.datetime(2026, 1, 9, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
AT_2 = ControlState("place", 2, 5, RolloutState.COMPLETE, previous=1)
RETIRING = FloorState("place", 8, retiring=Retiring(2, NOW, "ann"))
CLEAR = [TagCount("int", 2, 7), TagCount("long", 3, 1)]
TWO = Retirement(2)


def node(name: str = "a", **changes: Any) -> NodeFacts:
    of_kind = {"writes": 2, "acknowledged": 5, **{k: v for k, v in changes.items() if k in NodeKind.__slots__}}
    rest = {k: v for k, v in changes.items() if k not in NodeKind.__slots__}
    kinds = {"place": NodeKind(1, 2, of_kind.pop("readable", 2), **of_kind)}
    facts = NodeFacts(name, "api", name, "host", 1, "0", Policy.ENFORCE, kinds, True, NOW, NOW, 0.0, 10.0)
    return replace(facts, **rest)


def facts(*, fleet: Fleet | None = None, **changes: Any) -> RetirementFacts:
    whole: dict[str, Any] = {
        "control": AT_2,
        "floor": FloorState("place", -1),
        "tags": CLEAR,
        "clear_since": NOW - 48 * HOUR,
        "now": NOW,
        **changes,
    }
    return RetirementFacts("place", fleet=fleet or Fleet((node(),)), **whole)


def causes(now: RetirementFacts, wish: Retirement = TWO, *, begun: bool = False) -> list[Cause]:
    return [blocker.cause for blocker in retirement_blockers(wish, now, begun=begun)]


def test_nothing_is_in_the_way_when_all_is_proved() -> None:
    assert causes(facts()) == []


@pytest.mark.parametrize(
    ("tags", "cause"),
    [
        ([TagCount("int", 1, 1)], [Cause.ROWS_BELOW]),
        ([TagCount("missing", None, 1)], [Cause.ROWS_UNTAGGED]),
        ([TagCount("null", None, 1)], [Cause.ROWS_UNTAGGED]),
        ([TagCount("string", None, 1)], [Cause.ROWS_UNREADABLE]),
        ([TagCount("decimal", None, 1)], [Cause.ROWS_UNREADABLE]),
        ([TagCount("int", 0, 1)], [Cause.ROWS_UNREADABLE]),
        ([TagCount("double", 2.5, 1)], [Cause.ROWS_UNREADABLE]),
        ([TagCount("double", 2.0, 1)], [Cause.ROWS_ODDLY_TAGGED]),
        ([TagCount("double", 1.0, 1)], [Cause.ROWS_BELOW, Cause.ROWS_ODDLY_TAGGED]),
        ([TagCount("int", 9, 1)], []),
    ],
)
def test_a_row_below_or_of_which_nobody_can_say_where_it_stands_is_in_the_way(
    tags: Sequence[TagCount], cause: list[Cause]
) -> None:
    assert causes(facts(tags=[*CLEAR, *tags])) == cause


def test_rows_in_quarantine_are_in_the_way_if_they_stand_below_or_nobody_knows_where() -> None:
    assert causes(facts(quarantined={2: 4, 3: 1})) == []
    assert causes(facts(quarantined={1: 4})) == [Cause.ROWS_QUARANTINED]
    assert causes(facts(quarantined={None: 4})) == [Cause.ROWS_QUARANTINED]


def test_counts_that_are_of_no_one_moment_prove_nothing() -> None:
    assert causes(facts(exact=False)) == [Cause.NOT_EXACT]


@pytest.mark.parametrize("state", [RolloutState.CANARY, RolloutState.OPEN, RolloutState.BACKFILLING])
def test_an_open_rollout_is_in_the_way(state: RolloutState) -> None:
    assert causes(facts(control=replace(AT_2, state=state))) == [Cause.WRONG_STATE]


def test_a_write_version_below_is_in_the_way() -> None:
    assert causes(facts(), Retirement(3)) == [Cause.WRITES_BELOW, Cause.NODE_CANNOT_READ, Cause.ROWS_BELOW]


def test_a_kind_that_no_node_has_worked_with_is_not_retired() -> None:
    assert causes(facts(control=None)) == [Cause.NEVER_STORED]


@pytest.mark.parametrize(
    ("there", "cause"),
    [
        (node(acknowledged=4), [Cause.NOT_ACKNOWLEDGED]),
        (node(acknowledged=None), [Cause.NOT_ACKNOWLEDGED]),
        (node(writes=1), [Cause.NODE_WRITES_BELOW]),
        (node(readable=1, writes=None), [Cause.NODE_CANNOT_READ]),
        (node(policy=Policy.WARN, writes=1), [Cause.NODE_WRITES_BELOW]),
        (node(writes=None), []),
        # It waits, and has nothing open.
        (node(writes=1, admitted=False), []),
        (node(silent=100.0), []),
        (node(silent=100.0, acknowledged=4), [Cause.NODE_WRITES_BELOW]),
        (node(silent=100.0, writes=1), [Cause.NODE_WRITES_BELOW]),
        (node(silent=4000.0, writes=1), []),
    ],
)
def test_a_node_is_in_the_way_if_it_may_still_store_a_version_below(there: NodeFacts, cause: list[Cause]) -> None:
    control = replace(AT_2, unsettled=Unsettled(VersionRange(1, 1), 5))

    assert causes(facts(control=control, fleet=Fleet((node("b"), there)))) == cause


def test_a_node_that_died_is_passed_over_where_somebody_knows_that_it_is_gone() -> None:
    fleet = Fleet((node(silent=100.0, writes=1),))

    assert causes(facts(fleet=fleet), Retirement(2, ignored_nodes=frozenset({"a"}))) == []
    assert causes(facts(fleet=fleet), Retirement(2, ignored_nodes=frozenset({"b"}))) == [Cause.NODE_WRITES_BELOW]


def test_a_declared_reader_is_in_the_way_if_it_stores_versions_below_or_reads_no_others() -> None:
    def fleet(low: int, high: int, writes: int | None) -> Fleet:
        return Fleet((), (DeclaredReader("nightly", "place", VersionRange(low, high), "ann", writes=writes),))

    assert causes(facts(fleet=fleet(1, 2, None))) == []
    assert causes(facts(fleet=fleet(1, 2, 2))) == []
    assert causes(facts(fleet=fleet(1, 2, 1))) == [Cause.READER_WRITES_BELOW]
    assert causes(facts(fleet=fleet(1, 1, None))) == [Cause.READER_CANNOT_READ]


def test_a_version_that_clients_ask_for_is_in_the_way() -> None:
    assert causes(facts(asked=[ClientVersion(version=1, asks=3, last_asked=NOW)])) == [Cause.ASKED_FOR]
    assert causes(facts(asked=[ClientVersion(version=2, asks=3, last_asked=NOW)])) == []


def test_no_row_must_have_stood_below_for_the_soak_time() -> None:
    assert causes(facts(clear_since=None)) == [Cause.SOAK]
    assert causes(facts(clear_since=NOW - 47 * HOUR)) == [Cause.SOAK]
    assert causes(facts(clear_since=NOW - 47 * HOUR), Retirement(2, soak=46 * 3600.0)) == []
    assert causes(facts(clear_since=None), Retirement(2, soak=0.0)) == []


def test_everything_is_told_at_once() -> None:
    now = facts(
        control=replace(AT_2, state=RolloutState.OPEN),
        frozen=True,
        run="place-7",
        tags=[TagCount("int", 1, 4)],
        clear_since=None,
        fleet=Fleet((node(writes=1),)),
    )

    assert causes(now) == [
        Cause.FROZEN,
        Cause.WRONG_STATE,
        Cause.RUN_OPEN,
        Cause.NODE_WRITES_BELOW,
        Cause.ROWS_BELOW,
        Cause.SOAK,
    ]
    assert all(blocker.words and "\n" not in blocker.words for blocker in retirement_blockers(TWO, now))


def test_a_retirement_is_in_the_way_of_another_one_and_not_of_itself() -> None:
    assert causes(facts(floor=RETIRING)) == [Cause.RETIRING]
    assert causes(facts(floor=RETIRING), begun=True) == []


def test_a_floor_is_not_lowered() -> None:
    assert causes(facts(floor=FloorState("place", 8, floor=3))) == [Cause.RETIRED]
    assert causes(facts(floor=FloorState("place", 8, floor=2))) == []


def test_the_highest_version_that_may_be_retired_is_told() -> None:
    at_3 = replace(AT_2, write_version=3)
    fleet = Fleet((node(readable=3, writes=3),))
    rows = [TagCount("int", 2, 1), TagCount("int", 3, 1)]

    assert retirable_below(facts(control=at_3, fleet=fleet, tags=rows), 3) == 2
    assert retirable_below(facts(control=at_3, fleet=fleet, tags=rows[1:]), 3) == 3
    assert retirable_below(facts(control=at_3, fleet=fleet, tags=[TagCount("int", 1, 1)]), 3) is None
    assert (
        retirable_below(facts(control=at_3, fleet=fleet, tags=rows, floor=FloorState("place", 1, floor=2)), 3) is None
    )


def test_no_rollout_moves_while_a_retirement_is_under_way() -> None:
    step = StepFacts("s", invertible=True)
    fleet = Fleet((node(readable=3),))
    now = Situation(AT_2, fleet, floor=RETIRING)

    for after in (RolloutState.CANARY, RolloutState.OPEN):
        assert [each.cause for each in forward_blockers(now, after, step, Overrides())] == [Cause.RETIRING]
    assert [each.cause for each in rollback_blockers(now, Overrides())] == [Cause.RETIRING]
    above = Situation(replace(AT_2, write_version=3, previous=2), fleet, floor=RETIRING)
    assert rollback_blockers(above, Overrides()) == []


def test_nothing_is_rolled_back_below_the_recorded_floor() -> None:
    floor = FloorState("place", 8, floor=2)
    blockers = rollback_blockers(Situation(AT_2, Fleet((node(),)), floor=floor), Overrides())

    assert [each.cause for each in blockers] == [Cause.RETIRED]
    assert way_back(AT_2, StoredRows(2, 2), floor=floor) is WayBack.NEVER
    assert way_back(AT_2, StoredRows(2, 2)) is WayBack.AFTER_BACKFILL
