"""
Which rows a run is about, and when it may not begin.
"""

import datetime
from typing import Any

import pytest

from docstore import Document, Kind, Step
from docstore.core.coverage import Coverage, TagCount, coverage_of
from docstore.core.direction import Direction
from docstore.core.run_scope import RunScope, direction_of, side_of_rows
from docstore.errors import BackfillRefusedError, VersionRangeError

UP, DOWN, ADOPT = Direction.UP, Direction.DOWN, Direction.ADOPT
NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)


def kind(*, one_way: int = 0, detect: Any = None) -> Kind[Document]:
    """
    Five versions; one step, if any, has no way back.
    """
    steps = [Step(to=to, upgrade=dict, downgrade=None if to == one_way else dict) for to in range(2, 6)]
    return Kind("note", collection="notes", model=Document, steps=steps, detect=detect)


def coverage(of: Kind[Document], untagged: int = 0, unreadable: int = 0, **versions: int) -> Coverage:
    tags = [TagCount(type="int", value=int(name[1:]), rows=rows) for name, rows in versions.items()]
    tags += [TagCount(type="missing", value=None, rows=untagged), TagCount(type="string", value=None, rows=unreadable)]
    return coverage_of(of, [tag for tag in tags if tag.rows], quarantined=0, counted_at=NOW, exact=True)


PLAIN, GUESSED = kind(), kind(detect=lambda _: 4)
EVERYWHERE = coverage(PLAIN, untagged=1, unreadable=2, v1=4, v2=8, v3=16, v4=32, v5=64, v7=128)


@pytest.mark.parametrize(
    ("of", "direction", "sources", "rows", "newer"),
    [
        (PLAIN, UP, [1, 2, None], 4 + 8 + 1 + 2, 0),
        (PLAIN, DOWN, [4, 5], 32 + 64 + 2, 128),
        (GUESSED, DOWN, [4, 5, None], 32 + 64 + 2 + 1, 128),
        (PLAIN, ADOPT, [None], 1, 0),
    ],
)
def test_a_run_is_about_the_rows_on_its_side_of_the_target(
    of: Kind[Document], direction: Direction, sources: list[int | None], rows: int, newer: int
) -> None:
    scope = RunScope(of, 3, direction)

    assert (scope.sources(EVERYWHERE), scope.rows(EVERYWHERE), scope.newer(EVERYWHERE)) == (sources, rows, newer)


def test_where_rows_stand_is_said_of_the_rows_in_question_only() -> None:
    assert RunScope(PLAIN, 3, DOWN).whereabouts(EVERYWHERE) == (
        "32 at version 4, 64 at version 5, 2 with a tag that is no version"
    )
    assert RunScope(PLAIN, 3, UP).whereabouts(EVERYWHERE) == (
        "4 at version 1, 8 at version 2, 1 without a tag, 2 with a tag that is no version"
    )
    assert RunScope(PLAIN, 1, ADOPT).whereabouts(EVERYWHERE) == "1 without a tag"


@pytest.mark.parametrize(
    ("direction", "version", "target", "by", "is_here"),
    [
        (UP, 2, 5, UP, True),
        (UP, 3, 5, UP, False),
        (UP, 2, 1, DOWN, False),
        (DOWN, 4, 3, DOWN, True),
        (DOWN, 4, 5, UP, False),
        (DOWN, 2, 1, DOWN, False),
        (ADOPT, 2, 5, UP, False),
        (UP, None, 5, UP, True),
        (DOWN, None, 5, UP, True),
        (ADOPT, None, 5, UP, False),
        (ADOPT, None, 1, ADOPT, True),
        (ADOPT, 2, 5, ADOPT, True),
    ],
)
def test_a_row_in_quarantine_belongs_to_runs_of_the_direction_in_which_it_failed(
    direction: Direction, version: int | None, target: int, by: Direction, *, is_here: bool
) -> None:
    assert RunScope(PLAIN, 3, direction).failed_here(version, target, by) is is_here


@pytest.mark.parametrize(
    ("found", "side"),
    [
        (coverage(PLAIN), None),
        (coverage(PLAIN, v3=1), None),
        (coverage(PLAIN, v2=1, v3=1), UP),
        (coverage(PLAIN, v4=1, v3=1), DOWN),
        (coverage(PLAIN, v2=1, v4=1), None),
        # Rows of which nobody knows where they stand, and those above latest, are on neither side.
        (coverage(PLAIN, v4=1, unreadable=1), DOWN),
        (coverage(PLAIN, v2=1, v7=1), UP),
        (coverage(PLAIN, untagged=1), UP),
        (coverage(PLAIN, untagged=1, v4=1), None),
    ],
)
def test_rows_on_one_side_of_the_target_say_where_they_go(found: Coverage, side: Direction | None) -> None:
    assert side_of_rows(PLAIN, found, 3) is side


def test_untagged_rows_that_only_detect_can_place_are_on_neither_side() -> None:
    assert side_of_rows(GUESSED, coverage(GUESSED, untagged=1, v4=1), 3) is DOWN
    assert side_of_rows(GUESSED, coverage(GUESSED, untagged=1), 3) is None


def test_a_run_goes_up_where_no_row_says_otherwise() -> None:
    assert direction_of(PLAIN, coverage(PLAIN), 3, None) is UP
    assert direction_of(PLAIN, coverage(PLAIN, v3=1, unreadable=1), 3, None) is UP


def test_rows_on_both_sides_are_refused_with_their_numbers_until_somebody_says_which() -> None:
    both = coverage(PLAIN, v1=1_000, v2=1, v5=1)

    with pytest.raises(BackfillRefusedError) as caught:
        direction_of(PLAIN, both, 3, None)

    assert caught.value.reason == "1,001 rows stand below version 3 and 1 row stands above it"
    assert "--direction up or --direction down" in str(caught.value.__notes__)
    assert direction_of(PLAIN, both, 3, UP) is UP
    assert direction_of(PLAIN, both, 3, DOWN) is DOWN


def test_a_step_without_a_way_back_is_named_if_rows_would_have_to_go_over_it() -> None:
    of = kind(one_way=4)

    with pytest.raises(BackfillRefusedError) as caught:
        direction_of(of, coverage(of, v4=1), 2, None)

    assert caught.value.reason == "rows would go down from version 4 to 2, and step 4 has no way back"
    assert direction_of(of, coverage(of, v5=1), 4, None) is DOWN
    assert direction_of(of, coverage(of, v3=1), 2, None) is DOWN


def test_untagged_rows_that_detect_may_place_anywhere_have_to_be_able_to_go_all_the_way() -> None:
    of = kind(one_way=5, detect=lambda _: 5)

    with pytest.raises(BackfillRefusedError, match="from version 5 to 2"):
        direction_of(of, coverage(of, v3=1, untagged=1), 2, None)


def test_rows_above_latest_alone_are_refused() -> None:
    with pytest.raises(BackfillRefusedError, match="every row stands above version 5"):
        direction_of(PLAIN, coverage(PLAIN, v7=1), 3, None)


def test_a_version_that_the_kind_does_not_have_is_refused() -> None:
    with pytest.raises(VersionRangeError):
        direction_of(PLAIN, coverage(PLAIN), 6, DOWN)
