"""
What a survey says of a kind and of the fleet.
"""

import datetime
from typing import Any

import pytest

from docstore import Kind
from docstore.core.coverage import TagCount, coverage_of
from docstore.core.direction import Direction
from docstore.core.fleet_facts import Fleet, NodeFacts, NodeKind, Policy
from docstore.core.survey import nodes_by_life, rows_behind, span_of_latest
from tests.kinds import Place, place_kind

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def behind(kind: Kind[Any], *tags: TagCount, target: int, direction: Direction, quarantined: int = 0) -> int:
    coverage = coverage_of(kind, tags, quarantined=quarantined, counted_at=NOW, exact=True)
    return rows_behind(kind, coverage, target=target, direction=direction)


def node(service: str, instance: str, *, latest: int = 3, silent: float = 0.0, **facts: Any) -> NodeFacts:
    whole: dict[str, Any] = {
        "id": f"{service}-{instance}-{silent}",
        "host": "h",
        "pid": 1,
        "docstore": "0.1.0",
        "policy": Policy.ENFORCE,
        "kinds": {"place": NodeKind(1, latest, latest)},
        "admitted": True,
        "started": NOW,
        "seen": NOW,
        "dead_after": 10.0,
        **facts,
    }
    return NodeFacts(service=service, instance=instance, silent=silent, **whole)


ROWS = (TagCount("int", 1, 5), TagCount("int", 2, 7), TagCount("int", 3, 11), TagCount("missing", None, 2))


@pytest.mark.parametrize(
    ("target", "direction", "expected"),
    [(3, Direction.UP, 14), (2, Direction.UP, 7), (1, Direction.DOWN, 18), (2, Direction.DOWN, 11)],
)
def test_rows_on_the_wrong_side_of_a_finished_run_are_behind_it(
    target: int, direction: Direction, expected: int
) -> None:
    assert behind(place_kind(), *ROWS, target=target, direction=direction) == expected


def test_rows_that_are_put_aside_are_not_behind() -> None:
    assert behind(place_kind(), *ROWS, target=3, direction=Direction.UP, quarantined=10) == 4
    assert behind(place_kind(), *ROWS, target=3, direction=Direction.UP, quarantined=100) == 0


def test_after_an_adoption_untagged_rows_are_behind() -> None:
    assert behind(place_kind(), *ROWS, target=3, direction=Direction.ADOPT) == 2


def test_untagged_rows_that_only_detect_knows_say_nothing() -> None:
    kind = Kind("place", collection="places", model=Place, steps=place_kind().steps, detect=lambda _: 3)

    assert behind(kind, *ROWS, target=3, direction=Direction.UP) == 12


def test_nodes_are_alive_waiting_or_dead_and_a_successor_takes_the_place_of_a_dead_one() -> None:
    later = NOW + datetime.timedelta(seconds=60)
    fleet = Fleet(
        (
            node("api", "a"),
            node("api", "b", silent=11.0),
            node("jobs", "a", admitted=False),
            node("web", "a", silent=30.0),
            node("web", "a", started=later),
            node("gone", "a", silent=4000.0),
            node("gave-up", "a", admitted=False, silent=20.0),
        )
    )

    counts = nodes_by_life(fleet)

    words = ("alive", "waiting", "dead")
    assert {service: tuple(counts[service, word] for word in words) for service, _ in counts} == {
        "api": (1, 0, 1),
        "jobs": (0, 1, 0),
        "web": (1, 0, 0),
        "gone": (0, 0, 0),
        "gave-up": (0, 0, 0),
    }


def test_the_span_is_that_of_live_nodes() -> None:
    fleet = Fleet((node("api", "a", latest=2), node("api", "b", latest=4), node("api", "c", latest=9, silent=11.0)))

    assert span_of_latest(fleet, "place") == 2
    assert span_of_latest(fleet, "other") is None
