"""
The size of the next batch, from what the past ones took.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docstore.core.batch_size import CEILING, FIRST, FLOOR, GROWTH, Pace

TARGET = 0.5

rows = st.integers(1, CEILING)
seconds = st.floats(1e-4, 1e3)


def test_the_first_batch_has_a_size_and_no_rate() -> None:
    assert (Pace().size, Pace().rate) == (FIRST, None)


def test_a_quick_batch_makes_the_next_one_a_fifth_larger_at_most() -> None:
    assert Pace().after(rows=FIRST, seconds=0.001, target=TARGET).size == int(FIRST * GROWTH)


def test_a_slow_batch_makes_the_next_one_as_much_smaller_as_it_takes() -> None:
    assert Pace().after(rows=FIRST, seconds=50, target=TARGET).size == FIRST * TARGET / 50


def test_a_steady_rate_leads_to_batches_of_the_target_time() -> None:
    pace = Pace()
    for _ in range(40):
        pace = pace.after(rows=pace.size, seconds=pace.size / 10_000, target=TARGET)

    assert pace.size == 10_000 * TARGET
    assert pace.rate == pytest.approx(10_000)


def test_the_newest_batches_count_most() -> None:
    pace = Pace()
    for _ in range(20):
        pace = pace.after(rows=1000, seconds=1.0, target=TARGET)
    for _ in range(8):
        pace = pace.after(rows=1000, seconds=0.1, target=TARGET)

    assert pace.rate is not None
    assert pace.rate > 5_000


def test_a_batch_that_tells_nothing_changes_nothing() -> None:
    pace = Pace().after(rows=100, seconds=0.1, target=TARGET)

    assert pace.after(rows=0, seconds=1.0, target=TARGET) == pace
    assert pace.after(rows=1, seconds=0.0, target=TARGET) == pace


def test_a_batch_that_was_too_much_halves_the_size_and_forgets_the_past() -> None:
    pace = Pace(size=800, rows=1000, seconds=0.1).halved()

    assert (pace.size, pace.rate) == (400, None)


@given(st.lists(st.tuples(rows, seconds), max_size=30), st.floats(0.01, 60))
def test_the_size_stays_between_its_bounds_and_grows_by_a_fifth_at_most(
    batches: list[tuple[int, float]], target: float
) -> None:
    pace = Pace()
    for met, took in batches:
        following = pace.after(rows=met, seconds=took, target=target)
        assert FLOOR <= following.size <= CEILING
        assert following.size <= max(pace.size + 1, pace.size * GROWTH)
        pace = following


def test_a_batch_that_may_take_for_ever_is_no_larger_than_the_largest() -> None:
    pace = Pace(size=CEILING).after(rows=10**6, seconds=0.001, target=1e305)

    assert pace.size == CEILING
