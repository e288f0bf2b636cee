"""
What a fleet has to do with reading: nothing, but that it knows of fences.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, Final

import pytest

from docstore import Collection, Store
from tests.kinds import Place, place_kind, stored


async def _find(places: Collection[Place]) -> object:
    return await places.find({"visits": 0}).to_list()


async def _find_touched(places: Collection[Place]) -> object:
    return await places.find({"name": "Oslo"}, sort=[("_id", 1)]).to_list()


async def _get(places: Collection[Place]) -> object:
    return await places.get(1)


async def _count(places: Collection[Place]) -> object:
    return await places.count({"visits": 0})


READS: Final = [_find, _find_touched, _get, _count]
#: What answers from memory whether a fence spares a look for old rows; without a fleet nobody watches one.
ABSENCE: Final = {
    ("docstore.core.absence", "absence"),
    ("docstore.core.absence", "_unfit"),
    ("docstore.core.absence", "__create_fn__.<locals>.__init__"),
    ("docstore.fleet.fence_watch", "FenceWatch.absence"),
    ("docstore.fleet.fence_watch", "FenceWatch._absence"),
    ("docstore.fleet.membership", "Alone.absence"),
    ("docstore.fleet.node", "Node.absence"),
}


async def _functions(read: Callable[[], Awaitable[object]]) -> set[tuple[str, str]]:
    """
    Return the functions of docstore that run for a read, and not those of tasks that run beside it.
    """
    this, found = asyncio.current_task(), set()

    def seen(frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_globals.get("__name__", "")
        if event == "call" and name.startswith("docstore.") and asyncio.current_task() is this:
            found.add((name, frame.f_code.co_qualname))

    sys.setprofile(seen)
    try:
        await read()
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize("read", READS)
async def test_a_read_runs_the_same_functions_with_a_fleet_and_without(
    database: Any, read: Callable[[Collection[Place]], Awaitable[object]]
) -> None:
    await database["places"].insert_many([stored(3, row_id) for row_id in (1, 2)])
    kind, alone = place_kind(), place_kind()

    async with (
        Store(database, [kind], service="tests") as store,
        Store(database, [alone], service="a", fleet=False) as other,
    ):
        with_fleet, without = store.collection(kind), other.collection(alone)
        # The first read of all looks at the collection.
        await read(with_fleet)
        await read(without)
        ran, expected = await _functions(lambda: read(with_fleet)), await _functions(lambda: read(without))

    assert ran - ABSENCE == expected - ABSENCE
    assert ran - ABSENCE
    assert (ran & ABSENCE != set()) is (read is _find_touched)
    assert not {name for name, _ in ran - ABSENCE if name.startswith("docstore.fleet")}
