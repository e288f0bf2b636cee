import random

import pytest

from docstore.backfill.validation import Validate, Validation


def validation(choice: Validate | None, share: float = 0.01) -> Validation:
    return Validation(choice, chance=random.Random(1), share=share)


@pytest.mark.parametrize(("choice", "rows"), [(None, 100), (Validate.ALL, 100), (Validate.NONE, 0)])
def test_checks_holds_all_rows_or_none_against_the_model(choice: Validate | None, rows: int) -> None:
    chosen = validation(choice)

    assert sum(chosen.checks(place) for place in range(100)) == rows


def test_checks_of_a_sample_takes_about_its_share() -> None:
    chosen = validation(Validate.SAMPLE, share=0.1)

    assert 50 < sum(chosen.checks(place) for place in range(1000)) < 150


def test_checks_of_a_sample_always_takes_a_suspect() -> None:
    chosen = validation(Validate.SAMPLE, share=0.0)
    chosen.suspect({"a": 7})

    assert [chosen.checks(row_id) for row_id in (1, {"a": 7}, {"a": 8})] == [False, True, False]


def test_only_all_sends_every_row_through_python() -> None:
    assert [validation(choice).by_python_only for choice in (None, *Validate)] == [False, True, False, False]
