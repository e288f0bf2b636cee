"""
A process that dies in the midst of retiring: whoever comes next finishes it, or puts everything back.
"""

import asyncio
from typing import Any

import pytest

from docstore import commands
from docstore.commands import RetirementState
from docstore.core.floor_state import Validation
from docstore.core.retirement_gates import Retirement
from docstore.errors import RetirementRefusedError
from docstore.mongo.fence import read_fence
from tests.integration.retirement.conftest import KIND, Died, Places, retirements

OWN = Validation({"name": {"$type": "string"}}, "strict", "error")
#: More than there are.
_WRITES = 60


async def _retire_and_die(places: Places, after: int) -> bool:
    """
    Retire in a process that dies after so many writes; tell whether it came to its end.
    """
    async with places.dying(after) as (database, _):
        try:
            await commands.retire(database, KIND, 2, by="ann", soak=0.0)
        except Died:
            return False
    return True


async def _again(places: Places) -> None:
    """
    Begin anew: no records of a floor, and the users' own rules alone.
    """
    await places.database["docstore_control"].delete_one({"_id": "floor:place"})
    await places.database["docstore_control"].update_one({"_id": "fleet"}, {"$set": {"pending": None}})
    rules = {"collMod": "places", "validator": OWN.validator, "validationLevel": OWN.level}
    await places.database.command(rules)


async def _break_off(places: Places) -> None:
    """
    Leave a retirement that was begun, with its fence raised.
    """

    async def die() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await retirements(places.database, None, die).retire(Retirement(2, soak=0.0))


async def _require_end(places: Places, *, retired: bool) -> None:
    """
    Return if what is below version 2 is retired, or nothing has changed at all.
    """
    floor = await places.floor()
    assert floor.retiring is None
    if retired:
        assert (floor.floor, floor.proved) == (2, True)
        assert (await read_fence(places.database, "places")).holds
        assert floor.fence is not None
        assert floor.fence.own == OWN
    else:
        assert (floor.floor, floor.fence, await places.validation()) == (None, None, OWN)


async def _die_after_each_write(places: Places, *verbs: Any) -> int:
    """
    Retire and die after the first write, the second, and so on, until nothing is left to do; then do what *verbs* say.

    Returns:
        How many times a retirement was left that was begun.
    """
    begun = 0
    for after in range(1, _WRITES):
        verb = verbs[after % len(verbs)]
        await _again(places)
        ended = await _retire_and_die(places, after)
        left = await places.floor()
        if left.retiring is None:
            with pytest.raises(RetirementRefusedError):
                await verb(places.database, KIND, by="ben")
            await _require_end(places, retired=left.floor == 2)
        else:
            begun += 1
            result = await verb(places.database, KIND, by="ben")
            await _require_end(places, retired=result.state is not RetirementState.UNDONE)
        if ended:
            return begun
    pytest.fail("it never came to its end")


async def test_what_was_broken_off_after_any_write_is_finished_or_undone(places: Places) -> None:
    # Once the record is made, carried out, told and cleared; then the fence, and the count under it.
    assert await _die_after_each_write(places, commands.retire_resume, commands.retire_undo) >= 6


@pytest.mark.long
@pytest.mark.parametrize("verb", [commands.retire_resume, commands.retire_undo])
async def test_what_was_broken_off_after_any_write_is_finished_and_undone(places: Places, verb: Any) -> None:
    assert await _die_after_each_write(places, verb) >= 6


async def test_who_dies_while_undoing_leaves_it_to_the_next_one(places: Places) -> None:
    left_undone = 0
    for after in range(1, _WRITES):
        await _again(places)
        await _break_off(places)
        ended = True
        async with places.dying(after) as (database, _):
            try:
                await commands.retire_undo(database, KIND, by="ben")
            except Died:
                ended = False
        if (await places.floor()).retiring is not None:
            left_undone += 1
            with pytest.raises(RetirementRefusedError):
                await places.retire()
            await commands.retire_undo(places.database, KIND, by="cleo")
        await _require_end(places, retired=False)
        if ended:
            break

    assert left_undone >= 5
