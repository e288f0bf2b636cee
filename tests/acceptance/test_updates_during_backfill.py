"""
Four writers that use update operators on rows which a backfill is rewriting at the same time.

Every write leaves a mark in the same atomic update as its effect. So the marks tell what each row has to look like: a
lost update lacks its mark or its effect, one that was applied twice has two, and one that met an old shape has its
effect in a field that the model of the row's own version does not know.
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest
from pydantic import BaseModel, ConfigDict
from pymongo import AsyncMongoClient

from docstore import Collection, Document, Kind, Step, Store, Update
from docstore import operations as ops
from docstore.commands import backfill
from docstore.core.run_record import RunOptions

ROWS: Final = 800
NAMES: Final = 160  # so that a name is that of five rows
RATE: Final = 130  # rows in a second, so that the backfill lasts while they write
WRITES: Final = 30  # by each writer, at least


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    schema_version: int
    marks: list[str]


class OldPart(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    k: int
    n: int


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    k: int
    count: int


class Counts(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    visits: int


class First(Shape):
    title: str
    visits: int
    parts: list[OldPart]


class Second(Shape):
    name: str
    visits: int
    parts: list[OldPart]


class Third(Shape):
    name: str
    counts: Counts
    parts: list[Part]


class Fourth(Third):
    slug: str


SHAPES: Final[dict[int, type[Shape]]] = {1: First, 2: Second, 3: Third, 4: Fourth}


class Account(Document):
    name: str
    counts: Counts
    parts: list[Part]
    marks: list[str]
    slug: str


def add_slug(row: dict[str, Any]) -> dict[str, Any]:
    row["slug"] = row["name"].lower()
    return row


account = Kind(
    "account",
    collection="accounts",
    model=Account,
    steps=[
        Step(ops.RenameField("title", "name"), to=2),
        Step(
            ops.NestFields({"visits": "visits"}, into="counts"),
            ops.ForEach("parts", ops.RenameField("n", "count")),
            to=3,
        ),
        Step(upgrade=add_slug, writes=["slug"], to=4),
    ],
)


def old_row(number: int) -> dict[str, Any]:
    row = {
        "_id": number,
        "schema_version": 1,
        "title": f"Name{number % NAMES}",
        "visits": 0,
        "parts": [{"k": 1, "n": 0}, {"k": 2, "n": 0}],
        "marks": [],
    }
    return account.upgrade(row, to=number % 3 + 1)


class Writer:
    """
    Writes at random, and keeps how many rows each mark has to be in.
    """

    def __init__(self, accounts: Collection[Account], name: str, seed: int) -> None:
        self._accounts = accounts
        self._rng = random.Random(seed)
        self._marks = (f"{name}{number}" for number in itertools.count())
        self.marked: Counter[str] = Counter()

    async def write(self) -> None:
        """
        Make one write; its mark begins with what it has to have changed.
        """
        row_id = self._rng.randrange(ROWS)
        by_name = {"name": f"Name{row_id % NAMES}"}
        writes: list[Callable[[], Awaitable[tuple[str, int]]]] = [
            lambda: self._one("visits", {"_id": row_id}, "counts.visits"),
            lambda: self._one("first", {"_id": row_id, "parts.k": 1}, "parts.$.count"),
            lambda: self._one("second", {"_id": row_id}, "parts.$[p].count", array_filters=[{"p.k": 2}]),
            lambda: self._one("both", {"_id": row_id}, "parts.$[].count"),
            lambda: self._one("visits", by_name, "counts.visits"),
            lambda: self._one("both", by_name, "parts.$[].count", many=True),
            lambda: self._one("second", by_name, "parts.$[p].count", array_filters=[{"p.k": 2}], many=True),
            lambda: self._one("visits", by_name, "counts.visits", upsert=True),
            lambda: self._least(by_name),
            lambda: self._two_at_once(row_id, by_name),
        ]
        mark, rows = await self._rng.choice(writes)()
        assert rows
        self.marked[mark] += rows

    def _operators(self, effect: str, path: str) -> tuple[str, dict[str, Any]]:
        mark = f"{effect} {next(self._marks)}"
        return mark, {"$inc": {path: 1}, "$push": {"marks": mark}}

    async def _one(self, effect: str, filter: dict[str, Any], path: str, **options: Any) -> tuple[str, int]:
        mark, operators = self._operators(effect, path)
        result = await self._accounts.update(filter, operators, **options)
        assert result.upserted_id is None
        return mark, result.matched

    async def _least(self, filter: dict[str, Any]) -> tuple[str, int]:
        mark, operators = self._operators("visits", "counts.visits")
        order = [("counts.visits", 1), ("_id", 1)]
        after = await self._accounts.find_one_and_update(filter, operators, sort=order, return_document="after")
        assert after is not None
        assert after.marks.count(mark) == 1
        return mark, 1

    async def _two_at_once(self, row_id: int, by_name: dict[str, Any]) -> tuple[str, int]:
        mark, operators = self._operators("visits", "counts.visits")
        result = await self._accounts.bulk([Update({"_id": row_id}, operators)], ordered=False)
        other, more = self._operators("both", "parts.$[].count")
        self.marked[other] += (await self._accounts.bulk([Update(by_name, more, many=True)])).matched
        return mark, result.matched


def check_row(row: dict[str, Any]) -> None:
    """
    Hold a stored row against the model of its own tag, and its values against its marks.
    """
    shape = SHAPES[row["schema_version"]]
    shape.model_validate({name: value for name, value in row.items() if name != "_id"})
    effects = Counter(mark.split()[0] for mark in row["marks"])
    visits = row["counts"]["visits"] if "counts" in row else row["visits"]
    counted = {part["k"]: part.get("count", part.get("n")) for part in row["parts"]}
    assert visits == effects["visits"], row
    assert counted == {1: effects["first"] + effects["both"], 2: effects["second"] + effects["both"]}, row


@pytest.fixture
async def writers(mongod_uri: str, database: Any) -> AsyncIterator[list[Writer]]:
    """
    Four writers, each with a client and a store of its own.
    """
    clients = [AsyncMongoClient[dict[str, Any]](mongod_uri) for _ in range(4)]
    stores = [Store(client[database.name], kinds=[account], service="tests", fleet=False) for client in clients]
    yield [Writer(store.collection(account), "abcd"[place], place) for place, store in enumerate(stores)]
    for client in clients:
        await client.close()


@pytest.mark.timeout(180)  # seconds
async def test_no_update_is_lost_and_no_row_has_a_mixed_shape_while_a_backfill_rewrites_them(
    database: Any, writers: list[Writer], record_property: Callable[[str, object], None]
) -> None:
    rows = database["accounts"]
    await rows.insert_many([old_row(number) for number in range(ROWS)])
    done = asyncio.Event()

    async def write(writer: Writer) -> None:
        for count in itertools.count():
            if done.is_set() and count >= WRITES:
                return
            await writer.write()

    async def look() -> None:
        while not done.is_set():
            async for row in rows.find():
                check_row(row)
            await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as group:
        for task in (*map(write, writers), look()):
            group.create_task(task)
        options = RunOptions(rate=RATE, batch_seconds=0.1)
        result = await backfill(database, account, options=options, throttled=False)
        done.set()
    assert result.remaining == 0
    # Both took part in bringing rows up.
    assert 0 < result.server + result.client < ROWS

    stored = [row async for row in rows.find()]
    for row in stored:
        check_row(row)
    assert [row["schema_version"] for row in stored] == [4] * ROWS
    expected = sum((writer.marked for writer in writers), Counter[str]())
    assert Counter(mark for row in stored for mark in row["marks"]) == expected
    assert all(len(row["marks"]) == len(set(row["marks"])) for row in stored)
    told = f"{len(expected)} updates of {expected.total()} rows, none lost or doubled; {result.conflicts} conflicts"
    record_property("updates during a backfill", told)
