"""
Worker processes on a database of the test's own, and cities to work on.
"""

import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from docstore.core.bson_values import RawDocument
from docstore.demo.cities import read_places, spread
from tests.soak.workers import Database, Workers

#: Different cities; with more rows than that they repeat.
PLACES = 20_000


@pytest.fixture(scope="session")
def places() -> Sequence[RawDocument]:
    """
    Cities from everywhere, as rows of version 1 without a tag.
    """
    return spread(read_places(above=15000), PLACES)


@pytest.fixture
def start_workers(tmp_path: Path) -> Iterator[Callable[[Database, str], Workers]]:
    """
    Opens worker processes on a database at a URI; whatever still runs at the end is killed.
    """
    opened: list[Workers] = []

    def start(database: Database, uri: str) -> Workers:
        opened.append(Workers(database, uri, tmp_path))
        return opened[-1]

    yield start
    for process in (each for workers in opened for each in workers.started):
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
