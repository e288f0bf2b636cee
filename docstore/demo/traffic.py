"""
Somebody else's writes: increments through plain driver calls, and the proof that every one of them is still there.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from docstore.mongo.driver import AnyCollection

#: The field that is incremented: no step and no model knows it.
COUNTER: Final = "visits"

#: One line holds the counts of all rows.
LINE_LIMIT: Final = 2**26  # bytes


@dataclass(slots=True)
class Traffic:
    """
    The increments that the server has acknowledged to the other process.
    """

    #: All of them, as of a moment ago.
    total: int = 0
    #: For each row; known once the other process has ended.
    by_row: Counter[int] = field(default_factory=Counter)
    #: Set with the first of them, or when there will be none.
    flowing: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Proof:
    """
    What was acknowledged against what is stored.
    """

    acknowledged: int
    stored: int
    #: Rows that were incremented, or hold the counter.
    rows: int
    #: Rows of them whose counter is not what was acknowledged.
    differing: int

    @property
    def holds(self) -> bool:
        """
        Whether there were increments, none was lost, and none was made twice, in any row.
        """
        return self.acknowledged > 0 and self.differing == 0 and self.acknowledged == self.stored


@asynccontextmanager
async def increments(uri: str, collection: str, ids: Sequence[int], *, writers: int) -> AsyncIterator[Traffic]:
    """
    Have another process increment `COUNTER` in random rows for as long as the block runs.

    Leaving the block lets the increments in flight finish, so that each is known to have happened or not. The process
    does not outlive the block, nor this process.

    Raises:
        RuntimeError: It ended before it was told to; the numbers cannot be known.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "docstore.demo.foreign_writer"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=LINE_LIMIT,
        # Ctrl-C is for us: it ends when its standard input does.
        start_new_session=True,
    )
    traffic = Traffic()
    listener = asyncio.create_task(_listen(process, traffic))
    order = {"uri": uri, "collection": collection, "field": COUNTER, "writers": writers, "ids": list(ids)}
    try:
        if process.stdin is not None:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            await process.stdin.drain()
        await traffic.flowing.wait()
        yield traffic
        if process.stdin is not None:
            process.stdin.close()
        await listener
        if await process.wait() != 0:
            raise RuntimeError("the process that increments has failed")
    finally:
        listener.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def prove(collection: AnyCollection, traffic: Traffic) -> Proof:
    """
    Compare every row's counter with the increments that were acknowledged for it.
    """
    found = collection.find({COUNTER: {"$exists": True}}, {COUNTER: 1})
    stored = {row["_id"]: int(row[COUNTER]) async for row in found}
    rows = stored.keys() | traffic.by_row.keys()
    return Proof(
        acknowledged=traffic.by_row.total(),
        stored=sum(stored.values()),
        rows=len(rows),
        differing=sum(stored.get(row, 0) != traffic.by_row[row] for row in rows),
    )


async def _listen(process: asyncio.subprocess.Process, traffic: Traffic) -> None:
    try:
        while process.stdout is not None and (line := await process.stdout.readline()):
            report = json.loads(line)
            if "acknowledged" in report:
                traffic.by_row = Counter(dict(report["acknowledged"]))
                report["total"] = traffic.by_row.total()
            traffic.total = report["total"]
            if traffic.total:
                traffic.flowing.set()
    finally:
        traffic.flowing.set()
