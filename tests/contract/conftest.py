"""
A store on each of the three drivers in turn.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from docstore import Collection, Store
from tests.kinds import Place, place_kind


@pytest.fixture(params=["pymongo", "motor", "mock"])
def any_database(request: pytest.FixtureRequest) -> Any:
    """
    An empty database on each driver in turn.
    """
    name = {"pymongo": "database", "motor": "motor_database", "mock": "mock_database"}[request.param]
    return request.getfixturevalue(name)


@pytest.fixture
async def places(any_database: Any) -> AsyncIterator[Collection[Place]]:
    """
    The rows of the kind in `tests.kinds`, read and written at version 3.
    """
    kind = place_kind()
    async with Store(any_database, kinds=[kind], service="tests") as store:
        yield store.collection(kind)


@pytest.fixture
def rows(any_database: Any) -> Any:
    """
    The same rows, through the driver.
    """
    return any_database["places"]
