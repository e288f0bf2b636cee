"""
Who is named where rows keep coming that a run has done away with.
"""

import datetime

import pytest

from docstore.core.direction import Direction
from docstore.core.fleet_facts import DeclaredReader, Fleet, NodeFacts, NodeKind, Policy
from docstore.core.known_writers import known_writers
from docstore.core.write_version import VersionRange

NOW = datetime.datetime(2026, 1, 9, tzinfo=datetime.UTC)


def node(name: str, writes: int | None, *, silent: float = 0.0) -> NodeFacts:
    kinds = {"place": NodeKind(1, 3, 3, writes)}
    return NodeFacts(name, "api", name, "host", 7, "0", Policy.ENFORCE, kinds, True, NOW, NOW, silent, 10.0)


def reader(service: str, writes: int | None) -> DeclaredReader:
    return DeclaredReader(service, "place", VersionRange(1, 3), "ann", writes=writes)


FLEET = Fleet(
    (node("one", 1), node("two", 2), node("three", 3), node("mute", None), node("dead", 1, silent=60.0)),
    (reader("jobs", 1), reader("tools", 3), reader("report", None)),
)


@pytest.mark.parametrize(
    ("direction", "named"),
    [
        (Direction.UP, ["api/one (pid 7) on host stores version 1", "jobs (declared by ann) stores version 1"]),
        (Direction.DOWN, ["api/three (pid 7) on host stores version 3", "tools (declared by ann) stores version 3"]),
        (Direction.ADOPT, []),
    ],
)
def test_those_are_named_whose_rows_a_run_has_to_rewrite(direction: Direction, named: list[str]) -> None:
    assert list(known_writers("place", FLEET, target=2, direction=direction)) == named


def test_nobody_is_named_for_another_kind() -> None:
    assert list(known_writers("other", FLEET, target=2, direction=Direction.UP)) == []
