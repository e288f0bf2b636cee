"""
The clock by which a node judges whether others still believe it.
"""

import time

import pytest

from docstore.fleet.clock import steady_seconds


def test_a_clock_that_people_set_plays_no_part_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = steady_seconds()

    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: 0.0)
        during = steady_seconds()

    assert before <= during <= steady_seconds()
