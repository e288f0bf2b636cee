"""
Behind a fence at latest nothing is looked for that cannot be there: queries cost what they cost without docstore.
"""

import asyncio
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from docstore import Kind, Step, Store
from docstore import operations as ops
from docstore.core.absence import Absence
from docstore.core.control_view import FLEET, ControlView
from docstore.core.fence import FenceBounds
from docstore.core.fence_level import FenceLevel
from docstore.core.floor_state import FLOOR_PREFIX, FenceRecord, FloorState, Proof
from docstore.core.stale_branch import Way
from docstore.fleet.fence_watch import TRUSTED_BEATS, FenceWatch
from docstore.fleet.heard import Heard
from docstore.mongo.fence import raise_fence, read_fence
from docstore.store.collection import Collection
from docstore.store.gate import WriteGate
from tests.pinned import Pinned, at_once
from tests.random_kinds import Anything

Rows = AsyncDatabase[dict[str, Any]]

STEPS: Final = [Step(ops.RenameField("text", "body"), to=2), Step(ops.AddField("status", "new"), to=3)]
NOTE: Final = Kind("note", collection="notes", model=Anything, steps=STEPS)
BOUNDS: Final = FenceBounds("note", "schema_version", 3, 3)
#: For conditions that come true by themselves.
PATIENCE: Final = 60.0


class Behind(Pinned):
    """
    A node that knows of a fence at latest.
    """

    def absence(self, kind: str) -> Absence:
        """
        Return that every row stands at latest.
        """
        del kind
        return Absence("old versions are absent", 3, 3)


class Sent(CommandListener):
    """
    Keeps the commands that are about the rows, without what each session adds.
    """

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        """
        Keep a command.
        """
        if event.command.get(event.command_name) == "notes" or event.command.get("collection") == "notes":
            left = {"lsid", "$clusterTime", "$db", "txnNumber", "$readPreference"}
            self.commands.append({name: event.command[name] for name in event.command if name not in left})

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """
        Do nothing.
        """

    def failed(self, event: CommandFailedEvent) -> None:
        """
        Do nothing.
        """

    def taken(self) -> list[dict[str, Any]]:
        """
        Return what was sent since this was asked last.
        """
        taken, self.commands = self.commands, []
        return taken


@pytest.fixture
async def heard(mongod_uri: str, database: Rows) -> AsyncIterator[tuple[Rows, Sent]]:
    sent = Sent()
    async with AsyncMongoClient[dict[str, Any]](mongod_uri, event_listeners=[sent]) as client:
        yield client[database.name], sent


def note(row_id: int, version: int = 3) -> dict[str, Any]:
    old = {"_id": row_id, "schema_version": 1, "text": f"t{row_id}"}
    return NOTE.upgrade(old, to=version)


async def fenced(database: Rows) -> FloorState:
    """
    Store rows at latest, raise the fence, and record the floor, as a retirement leaves it.
    """
    await database["notes"].insert_many([note(each) for each in range(3)])
    await raise_fence(database, "notes", BOUNDS, level=FenceLevel.STRICT)
    found = await read_fence(database, "notes")
    proof = Proof("tests", datetime.datetime(2026, 1, 2))  # noqa: DTZ001 - as it is read
    return FloorState("note", 1, floor=3, proof=proof, fence=FenceRecord(3, 3, "strict"), home=found.uuid)


async def test_a_query_on_a_changed_path_sends_what_the_driver_sends(heard: tuple[Rows, Sent]) -> None:
    database, sent = heard
    await database["notes"].insert_many([note(each) for each in range(3)])
    notes = Collection(database, NOTE, gate=WriteGate(Behind(NOTE, 3), "tests"), pause=at_once, kinds=[NOTE])
    plain, asked = database["notes"], {"body": "t1", "status": "new"}
    sent.taken()

    assert [each.id for each in await notes.find(asked, sort=[("status", 1)], limit=5).to_list()] == [1]
    ours = sent.taken()
    assert len(await plain.find(asked, sort=[("status", 1)], limit=5).to_list()) == 1
    assert ours == sent.taken()

    assert await notes.count(asked) == 1
    ours = sent.taken()
    assert await plain.count_documents(asked) == 1
    assert ours == sent.taken()

    pipeline = [{"$match": asked}, {"$group": {"_id": "$status"}}]
    assert await (await notes.aggregate(pipeline)).to_list() == [{"_id": "new"}]
    ours = sent.taken()
    async for _ in await plain.aggregate_raw_batches(pipeline, allowDiskUse=True):
        pass
    assert ours[0] == sent.taken()[0]
    assert [next(iter(each)) for each in ours] == ["aggregate", "getMore"]


async def test_a_write_by_a_changed_path_is_one_command(heard: tuple[Rows, Sent]) -> None:
    database, sent = heard
    await database["notes"].insert_many([note(each) for each in range(3)])
    notes = Collection(database, NOTE, gate=WriteGate(Behind(NOTE, 3), "tests"), pause=at_once, kinds=[NOTE])
    asked = {"body": "t1"}
    sent.taken()
    writes: list[Callable[[], Awaitable[Any]]] = [
        lambda: notes.update(asked, {"$set": {"status": "sold"}}),
        lambda: notes.update(asked, {"$inc": {"n": 1}}),
        lambda: notes.find_one_and_update(asked, {"$set": {"status": "kept"}}),
        lambda: notes.delete_one(asked),
    ]
    for write in writes:
        await write()
        assert [next(iter(command)) for command in sent.taken()] in (["update"], ["findAndModify"], ["delete"])


async def test_without_steps_nothing_is_looked_up_at_all(heard: tuple[Rows, Sent]) -> None:
    database, sent = heard
    kind = Kind("note", collection="notes", model=Anything, baseline=3)
    await database["notes"].insert_many([note(each) for each in range(3)])
    async with Store(database, kinds=[kind], service="tests") as store:
        notes = store.collection(kind)
        sent.taken()
        assert len(await notes.find({"body": "t1"}, projection=Anything).to_list()) == 1
        assert await notes.count({"status": "new"}) == 3
        await notes.update({"body": "t1"}, {"$inc": {"n": 1}})
        await notes.insert(Anything.model_validate({"_id": 9, "body": "t9"}))
        document = await notes.get(9)
        document.body = "other"
        await notes.replace(document)
        commands = sent.taken()

    names = [next(iter(command)) for command in commands]
    assert names == ["find", "aggregate", "update", "insert", "find", "findAndModify"]


async def test_in_a_transaction_and_in_a_snapshot_rows_are_looked_for(heard: tuple[Rows, Sent]) -> None:
    database, sent = heard
    await database["notes"].insert_many([note(1), note(2, 1)])
    notes = Collection(database, NOTE, gate=WriteGate(Behind(NOTE, 3), "tests"), pause=at_once, kinds=[NOTE])
    sent.taken()

    # They may have begun before the fence was raised.
    async with database.client.start_session(snapshot=True) as session:
        assert await notes.count({"body": "t2"}, session=session) == 1
    async with database.client.start_session() as session, await session.start_transaction():
        assert await notes.count({"body": "t2"}, session=session) == 1


async def test_a_secondary_may_lag_behind_the_fence(database: Rows) -> None:
    lagging = database.client.get_database(database.name, read_preference=ReadPreference.SECONDARY_PREFERRED)
    await database["notes"].insert_many([note(1), note(2, 1)])
    notes = Collection(lagging, NOTE, gate=WriteGate(Behind(NOTE, 3), "tests"), pause=at_once, kinds=[NOTE])

    assert await notes.count({"body": "t2"}) == 1
    assert "secondary" in str((await notes.explain({"body": "t2"})).absence)


async def test_a_fence_that_goes_is_noticed_by_the_next_reading_and_one_that_comes_back_is_looked_under(
    database: Rows,
) -> None:
    now = 100.0
    floor = await fenced(database)
    heard = Heard([NOTE])
    heard.adopt(ControlView(epoch=1, floors={"note": floor}))
    watch = FenceWatch(database, heard, lambda: 0.0, 2.0, lambda: now)
    assert "not read yet" in watch.absence("note").reason

    await watch.look()
    assert watch.absence("note") == Absence("old versions are absent: fenced since 2026-01-02 00:00:00", 3, 3)
    now += 2.0 * TRUSTED_BEATS
    assert "ago" in watch.absence("note").reason
    await watch.look()
    assert watch.absence("note").is_of_all_but(3)

    await database.command({"collMod": "notes", "validationLevel": "off"})
    await watch.look()
    assert "not in place" in watch.absence("note").reason
    await database["notes"].insert_one(note(7, 1))
    await database.command({"collMod": "notes", "validationLevel": "strict"})
    await watch.look()
    assert "nobody has looked" in watch.absence("note").reason
    await database["notes"].delete_one({"_id": 7})
    await watch.look()
    assert watch.absence("note").is_of_all_but(3)

    heard.adopt(ControlView(epoch=2))
    assert watch.absence("note").reason == "no floor is recorded"


async def test_a_collection_made_anew_under_the_name_is_not_behind_the_fence(database: Rows) -> None:
    heard = Heard([NOTE])
    heard.adopt(ControlView(epoch=1, floors={"note": await fenced(database)}))
    await database.drop_collection("notes")
    await raise_fence(database, "notes", BOUNDS, level=FenceLevel.STRICT)
    watch = FenceWatch(database, heard, lambda: 0.0, 2.0, lambda: 100.0)

    await watch.look()

    assert "not the one that was fenced" in watch.absence("note").reason


async def test_a_node_goes_without_looking_as_long_as_its_fence_stands(database: Rows) -> None:
    floor = await fenced(database)
    async with Store(database, kinds=[NOTE], service="tests", heartbeat=0.5) as store:
        notes = store.collection(NOTE)
        await database["docstore_control"].insert_one({"_id": FLOOR_PREFIX + "note", **floor.stored()})
        # As a change of the control records does: so that nodes know that there is something new.
        await database["docstore_control"].update_one({"_id": FLEET}, {"$inc": {"epoch": 1}})

        async def explained(text: str) -> bool:
            told = await notes.explain({"body": "t1"})
            return told.way is Way.AS_STORED and text in str(told.absence)

        async def found(*ids: int) -> bool:
            return [each.id for each in await notes.find({"body": {"$in": ["t1", "t7"]}}).to_list()] == [*ids]

        await _until(lambda: explained("fenced since 2026-01-02"))
        assert await found(1)
        await database.command({"collMod": "notes", "validator": {}})
        await database["notes"].insert_one(note(7, 1))
        await _until(lambda: found(1, 7))
        await _until(lambda: _is(notes, "not in place"))


async def _is(notes: Collection[Anything], text: str) -> bool:
    return text in str((await notes.explain({"body": "t1"})).absence)


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - nothing tells when it comes true
            await asyncio.sleep(0.05)
