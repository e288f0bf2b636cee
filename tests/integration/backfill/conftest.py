"""
Kinds and short ranges for backfills.
"""

from typing import Any

import pytest

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.backfill import pacing
from docstore.core import batch_size


class Counter(Document):
    """
    Every step adds one to `steps`, so a step that is applied twice shows.
    """

    steps: int
    visits: int = 0


def count_up(row: dict[str, Any]) -> dict[str, Any]:
    row["steps"] += 1
    return row


def counting_operation() -> ops.Compute:
    return ops.Compute(
        "steps",
        {"$add": ["$steps", 1]},
        lambda row: row["steps"] + 1,
        replace=True,
        requires={"$eq": [{"$type": "$steps"}, "int"]},
    )


def counters(*, on_server: bool) -> Kind[Counter]:
    """
    Three versions; the server path can take all steps, or none.
    """
    if on_server:
        steps = [Step(counting_operation(), to=2), Step(counting_operation(), to=3)]
    else:
        steps = [Step(upgrade=count_up, to=2), Step(upgrade=count_up, to=3)]
    return Kind("counter", collection="counters", model=Counter, steps=steps)


@pytest.fixture(params=["server path", "client path"])
def counter_kind(request: pytest.FixtureRequest) -> Kind[Counter]:
    """
    The same kind for either path in turn.
    """
    return counters(on_server=request.param == "server path")


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Batches and pages of a few rows, so that a handful of rows makes many of them.
    """
    of_rows(3, monkeypatch)


@pytest.fixture
def single_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Batches and pages of one row, so that every id is the bound of a range.
    """
    of_rows(1, monkeypatch)


def of_rows(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Have batches and pages hold so many rows.
    """
    monkeypatch.setattr(pacing, "FIRST_ON_SERVER", number)
    monkeypatch.setattr(pacing, "FIRST_IN_PYTHON", number)
    monkeypatch.setattr(batch_size, "FLOOR", 1)
    monkeypatch.setattr(batch_size, "CEILING", number)
    monkeypatch.setattr(pacing, "FIRST_PAGE", number)
