"""
Rows at any version, nodes, backfills, quarantine, retirements, crashes in the midst of them, and those who finish or
undo what was left: in any order, on a real server.
"""

import asyncio
import datetime
import os
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from pymongo import AsyncMongoClient, InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure

from docstore import commands
from docstore.core.direction import Direction
from docstore.core.fleet_facts import Policy
from docstore.core.floor_state import FloorState
from docstore.core.rollout_gates import Overrides
from docstore.core.rollout_state import OPEN as OPEN_ROLLOUTS
from docstore.core.run_state import OPEN as OPEN_RUNS
from docstore.core.version import tag_version
from docstore.core.write_version import StoredRows
from docstore.errors import BackfillRefusedError, DocstoreError, RetirementRefusedError, RolloutRefusedError
from docstore.fleet.node import Node
from docstore.fleet.operating import Rollouts
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.node_records import NodeRecords
from docstore.mongo.quarantine import Quarantine, QuarantineRecord
from tests.conftest import SEED
from tests.integration.fleet.conftest import STEADY, move_record, vanish
from tests.integration.retirement.conftest import Died, Dying
from tests.kinds import place_kind, stored

NOW: Final = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
KIND: Final = place_kind()
REFUSED: Final = 121
#: What somebody may write for a tag; None stands for none.
TAGS: Final = st.sampled_from([1, 1, 2, 2, 3, 3, 4, None, 2.0, "2", [2]])
IDS: Final = st.integers(0, 5)
FLOORS: Final = st.sampled_from([2, 2, 3])
Call = Callable[[Any, int, dict[str, Any]], Awaitable[Any]]


async def _merge(rows: Any, id: int, row: dict[str, Any]) -> None:
    aside = rows.database[f"{rows.name}_aside"]
    await aside.replace_one({"_id": id}, row, upsert=True)
    into = {"into": rows.name, "whenMatched": "replace", "whenNotMatched": "insert"}
    await (await aside.aggregate([{"$match": {"_id": id}}, {"$merge": into}])).to_list()


#: Every ordinary call by which a row comes to be as it is.
CALLS: Final[dict[str, Call]] = {
    "insert": lambda rows, key, row: rows.insert_one(row | {"_id": f"{key}-{uuid.uuid4().hex}"}),
    "insert_many": lambda rows, key, row: rows.insert_many([row | {"_id": f"{key}-{uuid.uuid4().hex}"}], ordered=False),
    "update": lambda rows, key, row: rows.update_one({"_id": key}, _as_update(row)),
    "update_many": lambda rows, key, row: rows.update_many({"_id": key}, _as_update(row)),
    "replace": lambda rows, key, row: rows.replace_one({"_id": key}, row),
    "upsert": lambda rows, key, row: rows.update_one({"_id": key}, _as_update(row), upsert=True),
    "replace_or_insert": lambda rows, key, row: rows.replace_one({"_id": key}, row, upsert=True),
    "bulk": lambda rows, key, row: rows.bulk_write(
        [
            InsertOne(row | {"_id": f"{key}-{uuid.uuid4().hex}"}),
            ReplaceOne({"_id": key}, row, upsert=True),
            UpdateOne({"_id": key}, _as_update(row)),
        ],
        ordered=False,
    ),
    "find_and_update": lambda rows, key, row: rows.find_one_and_update({"_id": key}, _as_update(row)),
    "find_and_replace": lambda rows, key, row: rows.find_one_and_replace({"_id": key}, row, upsert=True),
    "pipeline": lambda rows, key, row: rows.update_one(
        {"_id": key}, [{"$replaceWith": {"$literal": row}}], upsert=True
    ),
    "merge": _merge,
}


def _as_update(row: dict[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in row.items() if name != "_id"}
    gone = {} if "schema_version" in row else {"$unset": {"schema_version": ""}}
    return {"$set": fields, **gone}


def is_below(row: dict[str, Any], floor: int) -> bool:
    """
    Tell whether a row stands below a version, or nobody can say that it does not.
    """
    tag = row.get("schema_version")
    return isinstance(tag, float) or (tag_version(tag) or 0) < floor


@dataclass
class Server:
    """
    Where all machines run, one after the other, and what they have done.
    """

    runner: asyncio.Runner
    client: AsyncMongoClient[dict[str, Any]]
    uri: str
    done: Counter[str] = field(default_factory=Counter)


class RetirementMachine(RuleBasedStateMachine):
    """
    A kind of three versions, of which the first two may be retired.
    """

    server: ClassVar[Server]

    @initialize(rows=st.booleans())
    def begin(self, *, rows: bool) -> None:
        self.nodes: list[Node] = []
        self.database = self.server.client[f"test_{uuid.uuid4().hex}"]
        self.rows = self.database["places"]
        #: A floor that was proved before holds for ever.
        self.proved = 1
        self.run(self._begin(rows=rows))

    def run(self, act: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await act

        self.server.done["actions"] += 1
        return self.server.runner.run(awaited())

    async def _begin(self, *, rows: bool) -> None:
        if rows:
            await self.rows.insert_many([stored(version, version) for version in (1, 2)])
        else:
            await self.rows.insert_one(stored(2, 2))
        await self._come(3)

    @rule(writes=st.lists(st.tuples(st.sampled_from(sorted(CALLS)), IDS, TAGS), min_size=1, max_size=4))
    def somebody_writes(self, writes: list[tuple[str, int, Any]]) -> None:
        self.run(self._write(writes))

    async def _write(self, writes: list[tuple[str, int, Any]]) -> None:
        floor = await self._floor()
        below = floor.floor if floor.retiring is None else floor.retiring.below
        for call, key, tag in writes:
            row = {"name": "x", "title": "x"} | ({} if tag is None else {"schema_version": tag})
            codes: set[int | None] = set()
            try:
                await CALLS[call](self.rows, key, row)
            except BulkWriteError as error:
                codes = {each["code"] for each in error.details["writeErrors"]}
            except OperationFailure as error:
                codes = {error.code}
            assert codes <= {REFUSED}
            # Nobody is refused who keeps to what is stored: version 3 is not before it is flipped to.
            assert not codes or is_below(row, below or 1) or (tag_version(tag) or 0) >= 3
            self.server.done["refused"] += len(codes)

    @rule(below=st.sampled_from([None, 2, 3, 4, 5]), key=IDS, version=st.sampled_from([1, 1, 2, None]))
    def rows_are_deleted_or_put_aside(self, below: int | None, key: int, version: int | None) -> None:
        if below is not None:
            self.run(self.rows.delete_many({"schema_version": {"$not": {"$gte": below}}}))
            return
        record = QuarantineRecord(key, version, 3, Direction.UP, 2, "E", "r", None)
        self.run(Quarantine(self.database, "place").put([record], run=NOW, now=NOW))

    @rule(latest=st.sampled_from([None, None, 1, 2, 3, 3]), which=st.integers(0, 9), cleanly=st.booleans())
    def a_node_comes_or_goes(self, *, latest: int | None, which: int, cleanly: bool) -> None:
        if latest is not None:
            self.run(self._come(latest))
        elif self.nodes:
            node = self.nodes.pop(which % len(self.nodes))
            self.run(node.close() if cleanly else self._vanish(node))

    async def _come(self, latest: int) -> None:
        options: dict[str, Any] = {"service": "api", "life": STEADY, "streams": False, "patience": 0.0}
        kind = place_kind(latest=latest)
        node = Node(self.database, [kind], policy=Policy.WARN, instance=uuid.uuid4().hex, **options)
        self.nodes.append(node)
        await node.open()

    async def _vanish(self, node: Node) -> None:
        vanish(node)
        await move_record(self.database, node, 60.0)

    @rule(what=st.sampled_from(["advance", "advance", "roll back", "lift", "bring down", "finish", "undo"]))
    def an_operator_does_something(self, what: str) -> None:
        self.run(self._told(self._move(what)))

    async def _move(self, what: str) -> None:
        match what:
            case "advance":
                await commands.rollout_advance(self.database, KIND, by="ann")
            case "roll back":
                await Rollouts(self.database, by="ann").rollback("place")
            case "lift":
                await commands.backfill(self.database, KIND, throttled=False)
            case "bring down":
                await commands.backfill(self.database, KIND, to=1, direction=Direction.DOWN, throttled=False)
            case "finish":
                await self._resume()
            case _:
                await commands.retire_undo(self.database, KIND, by="cleo")

    @rule(
        below=FLOORS,
        ready=st.sampled_from([True, True, False]),
        fenced=st.sampled_from([True, True, True, False]),
        dies_after=st.sampled_from([None, None, 3, 6, 8, 10, 12, 14, 16]),
        old_row=st.booleans(),
        then=st.sampled_from(["nothing", "finish", "undo"]),
    )
    def an_operator_retires(
        self, *, below: int, ready: bool, fenced: bool, dies_after: int | None, old_row: bool, then: str
    ) -> None:
        if ready:
            self.run(self._prepare(below))
        if dies_after is None:
            self.run(self._retire(below, fenced=fenced))
            return
        self.run(self._die(below, dies_after))
        if old_row:
            self.run(self._write([("insert", 1, below - 1)]))
        if then != "nothing":
            self.run(self._told(self._move(then)))

    async def _prepare(self, below: int) -> None:
        # A list is of the types of what is in it, for the server.
        await self.rows.delete_many({"schema_version": {"$not": {"$type": "int"}}})
        await self.rows.delete_many({"schema_version": {"$type": "array"}})
        await self.rows.delete_many({"schema_version": {"$gt": 3}})
        await self.rows.update_many({"schema_version": {"$lt": below}}, {"$set": {"schema_version": below}})
        while self.nodes:
            await self.nodes.pop().close()
        for records in ("docstore_nodes", "docstore_quarantine"):
            await self.database[records].delete_many({})
        # While nobody is there, nobody has to hear of it first.
        alone = Overrides(no_fleet=True)
        await self._told(Rollouts(self.database, by="ann").advance(KIND, overrides=alone))
        await self._told(self._complete())
        await self._come(3)

    async def _complete(self) -> None:
        control = (await ControlRecords(self.database).settled_view()).controls["place"]
        if control.state in OPEN_ROLLOUTS:
            await self.rows.update_many({}, {"$set": {"schema_version": control.write_version}})
            ends = StoredRows(control.write_version, control.write_version)
            await Rollouts(self.database, by="ann").complete("place", ends)

    async def _retire(self, below: int, *, fenced: bool) -> None:
        try:
            await commands.retire(self.database, KIND, below, by="ann", soak=0.0, fenced=fenced)
        except RetirementRefusedError:
            self.server.done["refusals"] += 1
            return
        except DocstoreError:
            return
        self.server.done["retired" if fenced else "unproved"] += 1
        await self._require_proof(below)

    async def _resume(self) -> None:
        result = await commands.retire_resume(self.database, KIND, by="ben")
        self.server.done["finished"] += 1
        if result.proof is not None and result.proof.fenced:
            await self._require_proof(result.below)

    async def _require_proof(self, below: int) -> None:
        """
        Fail if anything stands below that a retirement was recorded for.
        """
        assert not [row["_id"] async for row in self.rows.find() if is_below(row, below)]
        for node in await NodeRecords(self.database).all():
            if node.alive and "place" in node.kinds:
                assert node.kinds["place"].reads.high >= below
                assert (node.kinds["place"].writes or below) >= below
        aside = Quarantine(self.database, "place").kept("places", "schema_version")
        assert not [each async for each in aside if (each.record.version or 0) < below]
        await self._write([(call, key, tag) for call in CALLS for key, tag in ((2, below - 1), (9, None))])

    async def _die(self, below: int, after: int) -> None:
        dying = Dying(after)
        client = AsyncMongoClient[dict[str, Any]](self.server.uri, event_listeners=[dying])
        try:
            await commands.retire(client[self.database.name], KIND, below, by="ann", soak=0.0)
        except Died:
            self.server.done["deaths"] += 1
        except DocstoreError:
            pass
        finally:
            dying.left = 10**9
            await client.close()

    async def _told(self, act: Awaitable[Any]) -> None:
        try:
            await act
        except (RolloutRefusedError, BackfillRefusedError):
            self.server.done["told"] += 1
        except DocstoreError:
            self.server.done["other"] += 1

    async def _floor(self) -> FloorState:
        return (await ControlRecords(self.database).settled_view()).floor_of("place")

    @invariant()
    def no_row_stands_below_a_proved_floor(self) -> None:
        if hasattr(self, "database"):
            self.server.runner.run(self._look())

    async def _look(self) -> None:
        floor = await self._floor()
        if floor.floor is not None and floor.proved:
            self.proved = max(self.proved, floor.floor)
            assert not [row["_id"] async for row in self.rows.find() if is_below(row, self.proved)]
        assert self.proved == 1 or (floor.floor or 0) >= self.proved

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.server.runner.run(self._end())

    async def _end(self) -> None:
        try:
            await self._retire_at_last()
        finally:
            await self._clear()

    async def _retire_at_last(self) -> None:
        """
        Retire once everything is as it has to be: whatever happened before is in nobody's way for ever.
        """
        if (await self._floor()).retiring is not None:
            await commands.retire_undo(self.database, KIND, by="cleo")
        for run in await commands.backfill_status(self.database, "place"):
            if run.state in OPEN_RUNS:
                await commands.backfill_cancel(self.database, "place", by="cleo")
        before = await self._floor()
        below = max(2, before.floor or 0)
        await self._prepare(below)
        await self._retire(below, fenced=True)
        await self._look()
        after = await self._floor()
        assert (after.floor, after.proved) == (below, True)

    async def _clear(self) -> None:
        for node in self.nodes:
            await node.close()
        for name in await self.database.list_collection_names():
            await self.database.drop_collection(name)


@pytest.mark.timeout(3600)
def test_nothing_stands_or_comes_below_a_floor_that_was_proved(
    mongod_uri: str, *, thorough: bool, record_property: Callable[[str, object], None]
) -> None:
    examples = 120 if thorough else 6
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=12,
        deadline=None,
        database=None,
        # The server answers when it does, so that nothing can be made smaller or found again.
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    with asyncio.Runner() as runner:

        async def opened() -> AsyncMongoClient[dict[str, Any]]:
            return AsyncMongoClient(mongod_uri)

        RetirementMachine.server = server = Server(runner, runner.run(opened()), mongod_uri)
        try:
            run_state_machine_as_test(hypothesis.seed(os.environ[SEED])(RetirementMachine), settings=settings)
        finally:
            runner.run(server.client.close())

    record_property("retirement machine", ", ".join(f"{name} {server.done[name]}" for name in sorted(server.done)))
    assert server.done["retired"] >= examples
    assert server.done["refused"] >= examples
