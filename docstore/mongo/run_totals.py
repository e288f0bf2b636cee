"""
What the batches of a run did, added up.
"""

from collections import defaultdict
from collections.abc import AsyncGenerator
from typing import Final

from bson.max_key import MaxKey
from bson.min_key import MinKey

from docstore.core.batch_record import BatchState, RunTotals, Tally
from docstore.core.run_record import Stored
from docstore.mongo.driver import AnyCollection, AnyDatabase, settled
from docstore.mongo.failures import translated
from docstore.mongo.own_records import BATCHES, open_records

_STATES: Final = (BatchState.DONE, BatchState.FAILED, BatchState.SPLIT)
_NAMES: Final = (*Tally.__slots__, *_STATES, "open")

#: Numbers by name, of each pass.
_Sums = defaultdict[int, dict[str, int]]


async def totals_of(batches: AnyCollection, match: Stored) -> RunTotals:
    """
    Return what the batches that *match* describes did, in all.
    """
    return _totals([sums async for _, _, sums in _summed(batches, match, bound=0)])


class RunningTotals:
    """
    What the batches of one run did, for those who look again and again: what has ended is read once.

    Good for showing how far a run is; what an election takes back stays counted.

    Args:
        database: Where the records are.
        run: The run.
        but_of: Leave out the batches of this worker.
    """

    def __init__(self, database: AnyDatabase, run: str, *, but_of: str | None = None) -> None:
        self._batches = open_records(database, BATCHES)
        self._run = run
        self._only: Stored = {} if but_of is None else {"owner": {"$ne": but_of}}
        #: Every batch before this one has ended, and is in the sums.
        self._from = 0
        self._ended: _Sums = defaultdict(dict)

    async def look(self) -> RunTotals:
        """
        Return what has been done by now.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database; what was counted before is kept.
        """
        with translated():
            # Asked first: numbers only grow, so no batch below this one can be opened any more.
            bound = max(await self._ended_below(), self._from)
            match = {"_id": keys_of(self._run, self._from), **self._only}
            found = [each async for each in _summed(self._batches, match, bound=bound)]
        of_pass: _Sums = defaultdict(dict)
        for number, has_ended, sums in found:
            if has_ended:
                self._ended[number] = _added(self._ended[number], sums)
            else:
                of_pass[number] = sums
        self._from = bound
        return _totals([_added(self._ended[number], of_pass[number]) for number in {*self._ended, *of_pass}])

    async def _ended_below(self) -> int:
        # The last one before the open ones: one that is opened in between is above both, and not taken for ended.
        last = await self._batches.find_one({"_id": keys_of(self._run, self._from)}, {"_id": 1}, sort=[("_id", -1)])
        first = await self._batches.find_one({"_id.run": self._run, "open": True}, {"_id": 1}, sort=[("_id.seq", 1)])
        above = self._from if last is None else int(last["_id"]["seq"]) + 1
        return above if first is None else min(above, int(first["_id"]["seq"]))


async def _summed(
    batches: AnyCollection, match: Stored, *, bound: int
) -> AsyncGenerator[tuple[int, bool, dict[str, int]], None]:
    """
    Yield numbers for each pass, of the batches before *bound* and of the others: the pass, which of the two, the sums.
    """
    counted = {name: {"$sum": f"$tally.{name}"} for name in Tally.__slots__}
    states = {state: {"$sum": {"$cond": [{"$eq": ["$state", state]}, 1, 0]}} for state in _STATES}
    unfinished = {"$sum": {"$cond": ["$open", 1, 0]}}
    part = {"pass": "$pass", "before": {"$lt": ["$_id.seq", bound]}}
    stages: list[Stored] = [{"$match": match}, {"$group": {"_id": part, **counted, **states, "open": unfinished}}]
    async for group in await settled(batches.aggregate(stages)):
        yield group["_id"]["pass"], group["_id"]["before"], {name: int(group[name]) for name in _NAMES}


def _added(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in _NAMES}


def _totals(passes: list[dict[str, int]]) -> RunTotals:
    """
    Add up passes. Rows that were put aside are met by every pass: the pass counts that put most of them aside.
    """
    sums = {name: sum(each[name] for each in passes) for name in _NAMES}
    sums["quarantined"] = max((each["quarantined"] for each in passes), default=0)
    return RunTotals(
        tally=Tally(**{name: sums[name] for name in Tally.__slots__}),
        done=sums[BatchState.DONE],
        failed=sums[BatchState.FAILED],
        open=sums["open"],
    )


def keys_of(run: str, from_seq: int = 0) -> Stored:
    """
    Return what the `_id`s of a run's batches have to be: a range, because their parts are compared in their order.
    """
    return {
        "$gte": {"run": run, "seq": from_seq, "part": MinKey()},
        "$lte": {"run": run, "seq": MaxKey(), "part": MaxKey()},
    }
