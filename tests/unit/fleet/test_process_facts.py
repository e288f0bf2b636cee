"""
What a process says of its kinds.
"""

import time
from typing import Any

import pytest

from docstore import Kind, Step
from docstore.core.rollout_moves import canaried
from docstore.core.write_version import ControlState, VersionRange
from docstore.fleet.in_flight import LONGEST_TRANSACTION, InFlight
from docstore.fleet.process_facts import Identity, node_kind
from tests.kinds import Place, add_slug, drop_slug, place_kind


def one_way() -> Kind[Any]:
    """
    A kind whose last step has no downgrade.
    """
    return Kind(
        "place",
        collection="places",
        model=Place,
        steps=[Step(upgrade=add_slug, downgrade=drop_slug, to=2), Step(upgrade=add_slug, to=3)],
    )


@pytest.mark.parametrize(
    ("kind", "written", "writes"),
    [
        (place_kind(latest=3), 3, 3),
        (place_kind(latest=3), 2, 2),
        (place_kind(latest=2), 3, None),
        (place_kind(floor=2, latest=3), 1, None),
        (one_way(), 3, 3),
        (one_way(), 2, None),
        (one_way(), 1, None),
    ],
)
def test_a_kind_is_written_where_the_code_leads_to_the_write_version(
    kind: Kind[Any], written: int, writes: int | None
) -> None:
    facts = node_kind(kind, ControlState("place", written, 7))

    assert facts.writes == writes
    assert facts.acknowledged == 7


def test_during_a_canary_both_versions_have_to_be_within_reach() -> None:
    canary = canaried(ControlState("place", 2, 1), percent=5.0, epoch=2, settled=True, step=None)

    assert node_kind(place_kind(latest=3), canary).writes == 3
    assert node_kind(place_kind(latest=2), canary).writes is None


def test_a_node_tells_the_versions_that_it_reads_and_a_mark_for_each_step() -> None:
    facts = node_kind(place_kind(floor=2, latest=3), None)

    assert facts.reads == VersionRange(2, 3)
    assert set(facts.fingerprints) == {"3"}
    assert facts.fingerprints["3"] == node_kind(place_kind(latest=3), None).fingerprints["3"]
    assert facts.acknowledged is None


def test_every_process_has_an_id_of_its_own_and_the_host_for_an_instance() -> None:
    first, second = Identity.of_this_process("api"), Identity.of_this_process("api", "pod-1")

    assert first.id != second.id
    assert (first.instance, second.instance) == (first.host, "pod-1")


def test_what_is_under_way_under_an_earlier_state_is_not_acknowledged() -> None:
    flying, before, after = InFlight(time.monotonic), ControlState("place", 3, 4), ControlState("place", 2, 5)
    with flying.one(before), flying.one(after):
        with flying.one(before):
            assert flying.acknowledged(after) == 4
        assert flying.acknowledged(after) == 4
        assert flying.acknowledged(ControlState("other", 1, 9)) == 9
    assert flying.acknowledged(after) == 5


def test_a_write_that_fails_is_not_under_way_any_more() -> None:
    flying, before = InFlight(time.monotonic), ControlState("place", 3, 4)
    with pytest.raises(ValueError, match="broken"), flying.one(before):
        raise ValueError("broken")

    assert flying.acknowledged(ControlState("place", 2, 5)) == 5


class _Session:
    def __init__(self) -> None:
        self.in_transaction = True


def test_what_is_written_in_a_transaction_is_under_way_until_that_is_over() -> None:
    now = 0.0
    flying, before, after = InFlight(lambda: now), ControlState("place", 3, 4), ControlState("place", 2, 5)
    ended, lost, endless, outside = _Session(), _Session(), _Session(), _Session()
    outside.in_transaction = False
    with flying.one(before, outside):
        pass
    assert flying.acknowledged(after) == 5

    for session in (ended, lost):
        with flying.one(before, session):
            pass
    assert flying.acknowledged(after) == 4
    ended.in_transaction = False
    assert flying.acknowledged(after) == 4
    # Who drops a session does not commit in it any more.
    del session, lost
    assert flying.acknowledged(after) == 5

    with flying.one(before, endless):
        pass
    now = LONGEST_TRANSACTION - 1
    assert flying.acknowledged(after) == 4
    now = LONGEST_TRANSACTION + 1
    assert flying.acknowledged(after) == 5
