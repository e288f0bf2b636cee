"""
Which processes work on a run, as they say themselves every second in its record.
"""

from typing import Final

from docstore.core.run_record import RunRecord, Stored
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.failures import translated
from docstore.mongo.own_records import NOW, RUNS, literal, open_records
from docstore.mongo.run_update import update_run

#: A worker that was not seen for so many seconds is not counted any more.
WORKER_SEEN: Final = 10.0


class RunWorkers:
    """
    The workers of a database's runs. Driver errors come out as `StoreUnavailableError` and `StoreRejectedError`.
    """

    def __init__(self, database: AnyDatabase) -> None:
        self._runs = open_records(database, RUNS)

    async def beat(
        self,
        run: str,
        *,
        worker: str,
        host: str,
        pid: int,
        rate: float | None,
        note: str,
        waits: str,
        busy: bool,
    ) -> RunRecord | None:
        """
        Say that a worker is there, and return the run as it is now; None if there is no such run.

        The worker is among the run's `workers` afterwards, unless it has a place for no more of them.
        """
        fresh = {"$gte": ["$$each.seen", {"$subtract": [NOW, round(WORKER_SEEN * 1000)]}]}
        others = {
            "$filter": {
                "input": "$workers",
                "as": "each",
                "cond": {"$and": [{"$ne": ["$$each.id", worker]}, fresh]},
            }
        }
        at_work = {"$size": {"$filter": {"input": "$$others", "as": "each", "cond": {"$eq": ["$$each.note", ""]}}}}
        most = "$options.workers_max"
        # A worker that said why it does not work has no place yet.
        own = {"$and": [{"$eq": ["$$each.id", worker]}, {"$eq": ["$$each.note", ""]}]}
        has_place = {"$anyElementTrue": [{"$map": {"input": "$workers", "as": "each", "in": own}}]}
        fits = {"$or": [bool(note), {"$eq": [most, None]}, has_place, {"$lt": [at_work, most]}]}
        entry = {
            "id": worker,
            "host": literal(host),
            "pid": literal(pid),
            "seen": NOW,
            "rate": literal(rate),
            "note": literal(note),
            "waits": literal(waits),
        }
        joined = {"$concatArrays": ["$$others", {"$cond": [fits, [entry], []]}]}
        fields: Stored = {"workers": {"$let": {"vars": {"others": others}, "in": joined}}}
        if busy:
            # What passed since any worker said so, unless all of them were silent for longer.
            passed = {"$subtract": [NOW, {"$ifNull": ["$beat", NOW]}]}
            # After an election the clock may stand behind that of the server before.
            seconds = {"$max": [0, {"$divide": [passed, 1000]}]}
            counted = {"$cond": [{"$lte": [passed, round(WORKER_SEEN * 1000)]}, seconds, 0]}
            fields |= {"beat": NOW, "running_seconds": {"$add": ["$running_seconds", counted]}}
        return await update_run(self._runs, {"_id": run}, fields)

    async def leave(self, run: str, worker: str) -> None:
        """
        Say that a worker is gone.
        """
        with translated():
            await self._runs.update_one({"_id": run}, {"$pull": {"workers": {"id": worker}}})
