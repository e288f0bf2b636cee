"""
The size of the next batch.
"""

from types import SimpleNamespace
from typing import cast

import pytest

from docstore.backfill.pacing import BURST, FIRST_PAGE, LEAST_AT_ONCE, LEAST_PAGE, MOST_PAGE, PAGE, Pacing
from docstore.backfill.progress import Path
from docstore.core.run_record import RunOptions, RunRecord


@pytest.mark.parametrize("path", Path)
def test_a_burst_lasts_as_long_as_somebody_who_meets_it_may_wait(path: Path) -> None:
    pacing = Pacing()
    assert pacing.burst(path) == LEAST_AT_ONCE[path]

    pacing.after(path, rows=50_000, seconds=2.5, now=0.0)

    assert pacing.burst(path) == 20_000 * BURST[path]


def test_a_server_that_is_slow_still_takes_some_rows_at_once() -> None:
    pacing = Pacing()

    pacing.after(Path.SERVER, rows=500, seconds=5.0, now=0.0)

    assert pacing.burst(Path.SERVER) == LEAST_AT_ONCE[Path.SERVER]


@pytest.mark.parametrize(("rate", "page"), [(50, LEAST_PAGE), (2_000, int(2_000 * PAGE)), (20_000, MOST_PAGE)])
def test_a_page_keeps_python_busy_for_a_moment_and_no_longer(rate: int, page: int) -> None:
    pacing = Pacing()
    assert pacing.page() == FIRST_PAGE

    pacing.after(Path.CLIENT, rows=rate, seconds=1.0, now=0.0)

    assert pacing.page() == page


def test_the_rate_of_the_server_says_nothing_of_pages() -> None:
    pacing = Pacing()

    pacing.after(Path.SERVER, rows=50_000, seconds=0.5, now=0.0)

    assert pacing.page() == FIRST_PAGE


def with_rate(rate: float | None) -> RunRecord:
    run = SimpleNamespace(options=RunOptions(rate=rate), workers=())
    return cast("RunRecord", run)


def test_a_limit_that_is_raised_forgets_what_was_owed_under_the_old_one() -> None:
    pacing = Pacing()
    pacing.look(with_rate(1.0))
    pacing.after(Path.CLIENT, rows=1_000, seconds=1.0, now=1.0)
    assert pacing.wait(1.0) == 999.0

    pacing.look(with_rate(1.0))
    assert pacing.wait(1.0) == 999.0
    pacing.look(with_rate(500.0))
    assert pacing.wait(1.0) == 0.0


def test_pauses_within_a_batch_are_not_waited_for_again() -> None:
    pacing = Pacing()
    pacing.look(with_rate(100.0))

    pacing.after(Path.SERVER, rows=100, seconds=0.25, now=11.0, began=10.25)

    assert pacing.wait(11.0) == 0.25


def test_the_rate_that_is_told_counts_the_pauses_within_batches_and_the_size_does_not() -> None:
    pacing, without = Pacing(), Pacing()

    for number in range(8):
        pacing.after(Path.SERVER, rows=1_000, seconds=0.5, now=number + 2.5, began=number)
        without.after(Path.SERVER, rows=1_000, seconds=0.5, now=number + 2.5)

    assert pacing.rate == pytest.approx(400)
    assert without.rate == pytest.approx(2_000)
    assert pacing.size(Path.SERVER) == without.size(Path.SERVER)


def test_a_limit_beyond_all_rows_limits_nothing() -> None:
    pacing = Pacing()
    before = pacing.size(Path.CLIENT)
    pacing.look(cast("RunRecord", SimpleNamespace(options=RunOptions(rate=1e308, batch_seconds=1e10), workers=())))

    assert pacing.size(Path.CLIENT) == before
