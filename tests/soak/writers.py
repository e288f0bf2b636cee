"""
Writers that know nothing of docstore, and the book that they keep of what the database has acknowledged.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from bson.errors import BSONError
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from docstore.core.bson_values import RawDocument
from tests.soak.cities import TAG, Cities

WRITERS: Final = 4
#: Between two writes of one writer, in seconds.
PAUSE: Final = 0.004
#: How far ahead of the backfill half of the writes go, in ids, so that they meet it.
AHEAD: Final = 6_000

Rows = AsyncCollection[dict[str, Any]]


@dataclass
class Book:
    """
    What was acknowledged, and what may have been done although no answer came.
    """

    increments: Counter[int] = field(default_factory=Counter)
    perhaps_incremented: Counter[int] = field(default_factory=Counter)
    #: What the note of a row may be now: the last one that was acknowledged, and those sent since.
    notes: defaultdict[int, set[int | None]] = field(default_factory=lambda: defaultdict(lambda: {None}))
    inserted: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)
    #: Inserted or deleted without an answer.
    uncertain: set[int] = field(default_factory=set)
    writes: Counter[str] = field(default_factory=Counter)


class Writers:
    """
    Increment, set, insert and delete by plain calls of the driver, most of them where the backfill is at work.

    Args:
        rows: The collection.
        cities: What to insert.
        count: How many rows there are, by the ids 0, 1, 2, ...
        seed: What they do, and in which order.
    """

    def __init__(self, rows: Rows, cities: Cities, *, count: int, seed: int) -> None:
        self.book = Book()
        #: Where the backfill is.
        self.front = 0
        #: Whether rows below the target are still being inserted.
        self.insert_old = True
        self._rows = rows
        self._cities = cities
        self._count = count
        self._seed = seed
        self._next = count

    async def write(self, stop: asyncio.Event) -> Book:
        """
        Write until told to stop; return the book.
        """
        async with asyncio.TaskGroup() as writing:
            for number in range(WRITERS):
                writing.create_task(self._write(number, stop))
        return self.book

    async def _write(self, number: int, stop: asyncio.Event) -> None:
        rng, sent = random.Random(self._seed * WRITERS + number), 0
        while not stop.is_set():
            sent += 1
            # Each has its own rows, except for increments, so that it knows what was set last.
            mine = self._somewhere(rng) // WRITERS * WRITERS + number
            match rng.choices(("increment", "set", "insert", "delete"), (60, 20, 12, 8))[0]:
                case "increment":
                    await self._increment(self._somewhere(rng))
                case "set":
                    await self._set(mine, sent)
                case "insert":
                    await self._insert(rng)
                case _:
                    await self._delete(mine)
            await asyncio.sleep(PAUSE)

    def _somewhere(self, rng: random.Random) -> int:
        if rng.random() < 0.5:
            return rng.randrange(self._next)
        return min(self.front + rng.randrange(AHEAD), self._next - 1)

    async def _increment(self, row: int) -> None:
        book = self.book
        with self._answered("increment") as lost:
            done = await self._rows.update_one({"_id": row}, {"$inc": {"visits": 1}})
            book.increments[row] += done.modified_count
        book.perhaps_incremented[row] += bool(lost)

    async def _set(self, row: int, note: int) -> None:
        may_be = self.book.notes[row]
        before = set(may_be)
        may_be.add(note)
        with self._answered("set"):
            done = await self._rows.update_one({"_id": row}, {"$set": {"note": note}})
            may_be.clear()
            may_be |= {note} if done.matched_count else before

    async def _insert(self, rng: random.Random) -> None:
        row, self._next = self._next, self._next + 1
        below = (None, *range(1, self._cities.target))
        version = rng.choice(below) if self.insert_old and rng.random() < 0.7 else self._cities.target
        self.book.uncertain.add(row)
        with self._answered("insert old" if version != self._cities.target else "insert"):
            await self._rows.insert_one(self._cities.row(row, version))
            self.book.inserted.add(row)
            self.book.uncertain.discard(row)

    async def _delete(self, row: int) -> None:
        # Somebody may be inserting this very row.
        known = row not in self.book.uncertain
        self.book.uncertain.add(row)
        with self._answered("delete"):
            done = await self._rows.delete_one({"_id": row})
            if done.deleted_count:
                self.book.deleted.add(row)
            if known:
                self.book.uncertain.discard(row)

    @contextmanager
    def _answered(self, write: str) -> Iterator[list[str]]:
        """
        Count a write; where no answer comes, as between two primaries, the list that is yielded holds why.
        """
        lost: list[str] = []
        try:
            yield lost
        except (PyMongoError, BSONError) as error:
            lost.append(type(error).__name__)
            self.book.writes["unanswered"] += 1
        else:
            self.book.writes[write] += 1


async def faults(rows: AsyncIterator[RawDocument], cities: Cities, book: Book, *, count: int) -> list[str]:
    """
    Hold every row against the book; return what is wrong, row by row, and which rows are missing.
    """
    found: list[str] = []
    missing = (set(range(count)) | book.inserted) - book.deleted - book.uncertain
    async for row in rows:
        number = row["_id"]
        missing.discard(number)
        if number in book.deleted:
            found.append(f"row {number} came back")
        if row.get(TAG) != cities.target:
            found.append(f"row {number} stands at {row.get(TAG)}")
        elif not cities.is_final(row):
            found.append(f"row {number} is tagged {row[TAG]} and has another shape or other values")
        visits, sure = row.get("visits", 0), book.increments[number]
        if not sure <= visits <= sure + book.perhaps_incremented[number]:
            found.append(f"row {number} was incremented {sure} times and has {visits}")
        if row.get("note") not in book.notes.get(number, {None}):
            found.append(f"row {number} has not the note that was set last")
    return found + [f"row {number} is gone" for number in sorted(missing)]
