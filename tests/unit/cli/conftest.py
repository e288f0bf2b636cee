"""
What every test of the command line leaves behind.
"""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """
    Undo what the command line tells structlog, so that tests which run later in this process see every event.
    """
    yield
    structlog.reset_defaults()
