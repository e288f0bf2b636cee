"""
Whether anybody else works on the server: what it counts, without what docstore's own processes did.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo import ReturnDocument

from docstore.core.throttle import Answer, Verdict
from docstore.mongo.driver import AnyDatabase, open_collection
from docstore.mongo.failures import translated
from docstore.mongo.probe import PROBE

#: The pause that company asks for, as a share of the time worked: four fifths of the time are the others'.
COURTESY: Final = 4.0
#: So many operations per second are company, and so many more for each that docstore's own processes did.
FEW: Final = 25.0
FEW_OF_OWN: Final = 0.5
#: Fewer operations than these between two looks are nobody, however short that was: a run that begins does some itself.
LEAST: Final = 8
#: How long the first look takes, in seconds.
FIRST_LOOK: Final = 0.1
#: A look longer ago than this says nothing of now: nobody asked, because there was no run. In seconds.
AGES: Final = 10.0
#: What others are known by. Updates are left out: those of a backfill in Python would hide anybody's.
_COUNTED: Final = ("query", "insert", "delete")
#: The one document in which all processes of docstore add up what they did.
_OWN: Final = "own"


@dataclass(frozen=True, slots=True)
class _Counted:
    at: float
    #: What the server counted, and what docstore's processes did of it.
    all: int
    own: int


class Others:
    """
    Reads, inserts and deletes of others, per second; needs the role `clusterMonitor`.

    Those of docstore's own processes in the same database are added up in a document that they share, because the
    server does not tell whose an operation was.

    Args:
        database: Where the rows are.
        of_a_round: Reads of the other signals that are asked together with this one.
        clock: Seconds that never go back.
        sleep: Waits for so many seconds.
    """

    name: Final = "others"

    def __init__(
        self,
        database: AnyDatabase,
        *,
        of_a_round: int = 0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._own = open_collection(database, PROBE, primary=True)
        self._clock = clock
        self._sleep = sleep
        self._of_a_round = of_a_round
        self._did = 0
        self._last: _Counted | None = None

    def did(self, operations: int) -> None:
        """
        Say what this process itself did since it was last said, about.
        """
        self._did += operations

    async def ask(self) -> Sequence[Answer]:
        """
        See `Signal`.
        """
        with translated():
            last, now = self._last, await self._count()
            if last is not None and now.at - last.at < AGES:
                return self._between(last, now)
            answers = await self._after_a_moment(now)
            if all(answer.verdict is Verdict.NORMAL for answer in answers):
                return answers
            # A run that begins reads some things of its own, and would have pauses for many seconds for it.
            return await self._after_a_moment(self._last or now)

    async def _after_a_moment(self, last: _Counted) -> Sequence[Answer]:
        await self._sleep(FIRST_LOOK)
        return self._between(last, await self._count())

    def _between(self, last: _Counted, now: _Counted) -> Sequence[Answer]:
        self._last = now
        seconds, own = now.at - last.at, now.own - last.own
        if now.all < last.all or own < 0 or seconds <= 0:
            # Another primary counts from its own start; the document was removed by a process that ended.
            return []
        number = max(0, now.all - last.all - own)
        others = number / seconds
        if number < LEAST or others < FEW + FEW_OF_OWN * own / seconds:
            return [Answer(self.name, Verdict.NORMAL, f"others do {others:.0f} operations/s", others)]
        reason = f"others work on the server: {others:.0f} operations/s"
        return [Answer(self.name, Verdict.SLOW_DOWN, reason, others, pause=COURTESY)]

    async def close(self) -> None:
        """
        See `Signal`; the probe drops the collection.
        """

    async def _count(self) -> _Counted:
        did, self._did = self._did + self._of_a_round, 0
        shared: Mapping[str, Any] | None = await self._own.find_one_and_update(
            {"_id": _OWN}, {"$inc": {"operations": did}}, upsert=True, return_document=ReturnDocument.AFTER
        )
        status = await self._database.command({"serverStatus": 1, **_ONLY_COUNTERS})
        return _Counted(
            at=self._clock(),
            all=sum(int(status["opcounters"][name]) for name in _COUNTED),
            own=int(shared["operations"]) if shared is not None else 0,
        )


#: The large sections of the answer, left out.
_ONLY_COUNTERS: Final = dict.fromkeys(
    ("repl", "metrics", "locks", "wiredTiger", "tcmalloc", "transactions", "sharding", "opLatencies", "flowControl"), 0
)
