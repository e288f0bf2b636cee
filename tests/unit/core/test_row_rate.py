"""
Keeping to a number of rows per second.
"""

from hypothesis import given
from hypothesis import strategies as st

from docstore.core.row_rate import RowRate


def test_rows_that_went_too_quickly_are_waited_for() -> None:
    assert RowRate().after(100, now=10.5, rate=50, since=10.0).wait(10.5) == 1.5


def test_rows_that_took_their_time_are_not_waited_for() -> None:
    assert RowRate().after(10, now=11.0, rate=50, since=10.0).wait(11.0) == 0.0


def test_time_that_was_not_used_is_not_saved_up() -> None:
    rate = RowRate().after(50, now=0.0, rate=50, since=0.0)

    assert rate.after(50, now=100.0, rate=50, since=100.0).wait(100.0) == 1.0


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(0, 2)), min_size=1, max_size=30), st.floats(1, 1000))
def test_whoever_waits_never_exceeds_the_rate(batches: list[tuple[int, float]], rate: float) -> None:
    bucket, now, gone = RowRate(), 0.0, 0
    for rows, took in batches:
        begun, now = now, now + took
        bucket = bucket.after(rows, now=now, rate=rate, since=begun)
        now += bucket.wait(now)
        gone += rows
        assert gone <= now * rate * (1 + 1e-9) + 1e-6
