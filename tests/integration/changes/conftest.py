"""
A kind whose steps are operations and functions, watched on each driver that speaks to a server.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from docstore import Collection, Store
from docstore.store.changes import Change, Changes
from tests.kinds import Place, place_kind


@pytest.fixture(params=["pymongo", "motor"])
def server_database(request: pytest.FixtureRequest) -> Any:
    """
    An empty database on each driver that speaks to a server, in turn.
    """
    return request.getfixturevalue("database" if request.param == "pymongo" else "motor_database")


@pytest.fixture
async def places(server_database: Any) -> AsyncIterator[Collection[Place]]:
    """
    The rows of the kind in `tests.kinds`, read and written at version 3.
    """
    kind = place_kind()
    async with Store(server_database, kinds=[kind], service="tests") as store:
        yield store.collection(kind)


@pytest.fixture
def rows(server_database: Any) -> Any:
    """
    The same rows, through the driver.
    """
    return server_database["places"]


async def until(changes: Changes[Any], last: Any) -> list[Change[Any]]:
    """
    Return the changes up to the one of the row with this id.
    """
    seen: list[Change[Any]] = []
    async with asyncio.timeout(120):
        async for change in changes:
            seen.append(change)
            if change.id == last:
                return seen
    return seen


def told(seen: list[Change[Any]]) -> list[tuple[str, Any]]:
    return [(change.operation, change.id) for change in seen]
