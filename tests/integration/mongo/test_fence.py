"""
The fence on a real server: put beside users' own rules, taken away, and never in the way of what it lets in.
"""

from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from docstore.core.fence import FenceBounds
from docstore.core.fence_level import FenceLevel
from docstore.core.floor_state import Validation
from docstore.errors import FenceRefusedError
from docstore.mongo.fence import put_back, raise_fence, read_fence, remove_fence
from docstore.mongo.fence_command import shell_command

BOUNDS = FenceBounds("city", "v", 2, 3)
OWN = {"name": {"$type": "string"}}


async def test_a_fence_beside_own_rules_holds_rows_to_both(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database.create_collection("cities", validator=OWN)
    raised = await raise_fence(database, "cities", BOUNDS)
    assert (raised.level, raised.own) == (FenceLevel.STRICT, Validation(OWN))
    assert raised.before == Validation(OWN)
    await database["cities"].insert_one({"v": 2, "name": "Rome"})
    for row in ({"v": 1, "name": "Rome"}, {"v": 2, "name": 5}):
        with pytest.raises(OperationFailure) as refused:
            await database["cities"].insert_one(row)
        assert refused.value.code == 121


async def test_taking_the_fence_away_leaves_what_users_have_changed_meanwhile(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    await database.create_collection("cities", validator=OWN, validationLevel="moderate")
    was = (await raise_fence(database, "cities", BOUNDS)).own
    found = await read_fence(database, "cities")
    assert found.validation.level == "strict"
    changed = {"$and": [{"name": {"$exists": True}}, BOUNDS.clause]}
    await database.command("collMod", "cities", validator=changed)
    await raise_fence(database, "cities", FenceBounds("city", "v", 2, 4), was=was)
    assert await remove_fence(database, "cities", kind="city", was=was)
    assert (await read_fence(database, "cities")).validation == Validation({"name": {"$exists": True}}, "moderate")
    assert not await remove_fence(database, "cities", kind="city", was=was)


async def test_a_collection_that_is_not_there_is_created_with_its_fence(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    assert (await read_fence(database, "cities")).uuid is None
    assert (await raise_fence(database, "cities", BOUNDS)).before is None
    found = await read_fence(database, "cities")
    assert found.uuid is not None
    assert (found.bounds, found.holds) == (BOUNDS, True)


async def test_rows_outside_the_fence_keep_it_moderate_until_they_are_gone(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    rows = database["cities"]
    await rows.insert_many([{"_id": 1}, {"_id": 2, "v": 2}])
    assert (await raise_fence(database, "cities", BOUNDS)).level is FenceLevel.MODERATE
    await rows.update_one({"_id": 1}, {"$set": {"name": "Rome"}})
    with pytest.raises(OperationFailure):
        await rows.insert_one({"_id": 3})
    await rows.update_one({"_id": 1}, {"$set": {"v": 2}})
    assert (await raise_fence(database, "cities", BOUNDS)).level is FenceLevel.STRICT
    with pytest.raises(OperationFailure):
        await rows.update_one({"_id": 1}, {"$unset": {"v": 1}})


async def test_own_rules_that_are_only_warned_of_are_not_enforced_by_a_fence(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    await database.create_collection("cities", validator=OWN, validationAction="warn")
    with pytest.raises(FenceRefusedError, match="only warned of"):
        await raise_fence(database, "cities", BOUNDS)
    assert (await read_fence(database, "cities")).validation == Validation(OWN, action="warn")


async def test_a_fence_waits_for_open_transactions_no_longer_than_it_is_told(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    await database["cities"].insert_one({"_id": 1, "v": 2})
    async with database.client.start_session() as session, await session.start_transaction():
        await database["cities"].update_one({"_id": 1}, {"$set": {"name": "Rome"}}, session=session)
        with pytest.raises(FenceRefusedError, match=r"did not end within 0\.05 s"):
            await raise_fence(database, "cities", BOUNDS, max_time_ms=50)
        await session.abort_transaction()
    assert (await read_fence(database, "cities")).bounds is None


async def test_a_fence_that_stands_is_not_put_up_again(database: AsyncDatabase[dict[str, Any]]) -> None:
    await raise_fence(database, "cities", BOUNDS)
    await database["cities"].insert_one({"_id": 1, "v": 2})
    async with database.client.start_session() as session, await session.start_transaction():
        await database["cities"].update_one({"_id": 1}, {"$set": {"name": "Rome"}}, session=session)
        # It would have to wait for the transaction.
        await raise_fence(database, "cities", BOUNDS, level=FenceLevel.STRICT, max_time_ms=50)
        await session.abort_transaction()


async def test_a_row_that_came_past_the_fence_does_not_keep_it_from_being_raised(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    await database.create_collection("cities", validator=OWN)
    await raise_fence(database, "cities", BOUNDS)
    await database["cities"].insert_one({"v": "2", "name": "Rome"}, bypass_document_validation=True)
    higher = FenceBounds("city", "v", 2, 4)
    assert (await raise_fence(database, "cities", higher, level=FenceLevel.STRICT)).own == Validation(OWN)
    assert (await read_fence(database, "cities")).bounds == higher


async def test_everything_is_put_back_as_it_was(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database.create_collection("cities", validator=OWN, validationLevel="moderate")
    before = (await raise_fence(database, "cities", BOUNDS)).before
    assert before is not None
    await put_back(database, "cities", before, kind="city")
    assert (await read_fence(database, "cities")).validation == Validation(OWN, "moderate")


async def test_without_the_privilege_the_command_for_an_administrator_is_told(
    database: AsyncDatabase[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.create_collection("cities", validator=OWN)
    send = type(database).command

    async def unprivileged(self: Any, command: Any, *args: Any, **options: Any) -> Any:
        if isinstance(command, dict) and "collMod" in command:
            # What a server with access control answers; there is none without starting one.
            raise OperationFailure("not authorized", 13, {"codeName": "Unauthorized"})
        return await send(self, command, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(type(database), "command", unprivileged)
        with pytest.raises(FenceRefusedError, match="privilege collMod is missing") as refused:
            await raise_fence(database, "cities", BOUNDS)
        told = refused.value.command
        assert told is not None
        # An administrator does as told, and then nothing is left to ask the server for.
        wanted = Validation({"$and": [OWN, BOUNDS.clause]})
        assert told == shell_command("cities", wanted)
        await send(database, {"collMod": "cities", "validator": wanted.validator, "validationLevel": "strict"})
        assert (await raise_fence(database, "cities", BOUNDS)).level is FenceLevel.STRICT


async def test_a_view_has_no_fence(database: AsyncDatabase[dict[str, Any]]) -> None:
    await database.create_collection("cities")
    await database.command("create", "few", viewOn="cities", pipeline=[])
    with pytest.raises(FenceRefusedError, match="is a view"):
        await raise_fence(database, "few", BOUNDS)


async def test_the_mock_refuses_a_fence(mock_database: Any) -> None:
    assert (await read_fence(mock_database, "cities")).bounds is None
    with pytest.raises(FenceRefusedError, match="mongomock validates nothing"):
        await raise_fence(mock_database, "cities", BOUNDS)
