"""
The size of the next batch.
"""

from types import SimpleNamespace
from typing import cast

from docstore.backfill.pacing import BREATH, FIRST_ON_SERVER, LEAST_AT_ONCE, Pacing
from docstore.backfill.progress import Path
from docstore.core.run_record import RunOptions, RunRecord


def test_the_server_takes_few_rows_at_once_while_the_backfill_holds_back() -> None:
    pacing = Pacing()
    assert pacing.size(Path.SERVER, in_bursts=True) < pacing.size(Path.SERVER) == FIRST_ON_SERVER

    pacing.after(Path.SERVER, rows=5_000, seconds=0.25, now=0.0)

    assert pacing.size(Path.SERVER, in_bursts=True) == 20_000 * BREATH


def test_a_server_that_is_slow_still_takes_some_rows_at_once() -> None:
    pacing = Pacing()

    pacing.after(Path.SERVER, rows=5_000, seconds=5.0, now=0.0)

    assert pacing.size(Path.SERVER, in_bursts=True) == LEAST_AT_ONCE


def test_a_batch_in_python_keeps_its_size_because_it_breathes_after_each_page() -> None:
    assert Pacing().size(Path.CLIENT, in_bursts=True) == Pacing().size(Path.CLIENT)


def test_the_size_is_back_at_once_when_nothing_holds_the_backfill_any_more() -> None:
    pacing = Pacing()
    for turn in range(10):
        size = pacing.size(Path.SERVER, in_bursts=True)
        pacing.after(Path.SERVER, rows=size, seconds=size / 20_000, now=float(turn))

    assert pacing.size(Path.SERVER) > 20_000 * BREATH


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
