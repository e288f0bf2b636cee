"""
What became of runs, and who wanted it: kept in each run's record, and copied to `docstore_history` for people.

An entry is part of the update that makes the transition, so there is never one without the other.
"""

from typing import Final

from docstore.core.record_format import HISTORY as HISTORY_FORMAT
from docstore.core.record_format import RUN
from docstore.core.run_record import Stored
from docstore.core.run_state import RunState
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.failures import translated
from docstore.mongo.own_records import HISTORY, NOW, RUNS, literal, open_records

#: Entries that a run's own record keeps.
_KEPT: Final = 100


def first_entry(*, by: str, why: str) -> Stored:
    """
    Return the fields, as expressions, that begin a run's history.
    """
    entry = _entry(None, RunState.ENQUEUED.value, reason="an operator asked for it", by=by, why=why)
    return {"transitions": [{"number": 1, **entry}], "moves": literal(1), "published": literal(0)}


def further_entry(*, after: RunState | None, reason: str, by: str, why: str) -> Stored:
    """
    Return the fields, as expressions, that add an entry to a run's history.

    Args:
        after: The state that the update brings the run to; None if it stays as it is.
        reason: What such a change means.
        by: Who wants it.
        why: What is to be said beyond that.
    """
    moves = {"$add": ["$moves", 1]}
    entry = {"number": moves, **_entry("$state", after.value if after else "$state", reason=reason, by=by, why=why)}
    return {
        "transitions": {"$slice": [{"$concatArrays": ["$transitions", [entry]]}, -_KEPT]},
        "moves": moves,
    }


def _entry(before: str | None, after: str, *, reason: str, by: str, why: str) -> Stored:
    return {
        "at": NOW,
        "before": before,
        "after": after,
        "reason": literal(reason),
        "by": literal(by),
        "why": literal(why),
    }


class RunHistory:
    """
    The histories of a database's runs. Driver errors come out as `StoreUnavailableError` and `StoreRejectedError`.
    """

    def __init__(self, database: AnyDatabase) -> None:
        self._runs = open_records(database, RUNS)
        self._history = open_records(database, HISTORY)

    async def newest(self, run: str, *, limit: int) -> list[Stored]:
        """
        Return the newest entries of a run, oldest first.

        Raises:
            RecordFormatError: The run's record has a format that this release does not know.
        """
        with translated():
            found: Stored | None = await self._runs.find_one(
                {"_id": run}, {"transitions": {"$slice": -limit}, "kind": 1, RUN.field: 1}
            )
        if found is None:
            return []
        RUN.check(f"run {run}", found)
        entries: list[Stored] = found["transitions"]
        return entries

    async def publish(self, run: str) -> None:
        """
        Copy a run's entries to `docstore_history`, as far as they are not there; idempotent.

        Whoever makes a change publishes it. Should it die before that, whoever makes or looks for the next does.
        """
        with translated():
            found = await self._runs.find_one(
                {"_id": run, **RUN.known, "$expr": {"$lt": ["$published", "$moves"]}},
                {"transitions": 1, "published": 1, "kind": 1},
            )
            if found is None:
                return
            for entry in found["transitions"]:
                if entry["number"] > found["published"]:
                    await self._history.update_one(
                        {"_id": {"run": run, "number": entry["number"]}},
                        {"$setOnInsert": {"schema_version": HISTORY_FORMAT.written, "kind": found["kind"], **entry}},
                        upsert=True,
                    )
            await self._runs.update_one({"_id": run}, {"$max": {"published": found["transitions"][-1]["number"]}})
