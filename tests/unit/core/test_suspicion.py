"""
What becomes of a batch whose workers died.
"""

import pytest

from docstore.core.batch_record import BatchRecord
from docstore.core.id_range import IdRange
from docstore.core.suspicion import Course, course_of


def batch(*, lost: int, deaths: int) -> BatchRecord:
    return BatchRecord(
        run="place-1",
        seq=1,
        part="",
        task="rows",
        number_of_pass=1,
        version=1,
        range=IdRange(),
        size=8,
        token=1,
        tries=0,
        lost=lost,
        deaths=deaths,
    )


@pytest.mark.parametrize(
    ("lost", "deaths", "rows", "course"),
    [
        (1, 0, 8, Course.TRY),
        (2, 1, 8, Course.TRY),
        (3, 2, 8, Course.HALVE),
        # It was never alone with its worker when one died: another batch is at fault.
        (9, 0, 8, Course.TRY),
        (9, 0, 1, Course.TRY),
        # A half, which has inherited what its whole was accused of.
        (3, 0, 4, Course.TRY),
        (4, 1, 4, Course.HALVE),
        (9, 2, 1, Course.TRY),
        (9, 3, 1, Course.PUT_ASIDE),
        # Whatever it was, nothing is left of it.
        (9, 9, 0, Course.TRY),
    ],
)
def test_a_batch_is_halved_and_a_row_put_aside_for_deaths_that_are_their_own(
    lost: int, deaths: int, rows: int, course: Course
) -> None:
    assert course_of(batch(lost=lost, deaths=deaths), rows=rows) is course


def test_a_batch_is_suspected_from_the_first_lease_that_ran_out() -> None:
    assert [batch(lost=lost, deaths=0).is_suspected for lost in (0, 1)] == [False, True]
