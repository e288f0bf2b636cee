"""
The records of runs, in `docstore_runs`, and what became of them, in `docstore_history`.

Every change is one atomic update whose condition names what it rests on (a state, a place of the cursor), so any
number of processes may try the same at once: one of them changes something, and the others see that it is done. A
transition's entry in the history is part of the update that makes it; `publish` copies entries to where people look.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING, ReturnDocument
from pymongo.errors import DuplicateKeyError

from docstore.core.run_record import RECORD_VERSION, Cursor, RunOptions, RunRecord, Stored, new_run
from docstore.core.run_state import OPEN, RunState, reason_for
from docstore.mongo.driver import AnyDatabase, settled
from docstore.mongo.failures import translated
from docstore.mongo.own_records import HISTORY, NOW, RUNS, later, literal, open_records

#: A worker that was not seen for so many seconds is not counted any more.
WORKER_SEEN: Final = 10.0
#: Transitions that a run's own record keeps.
_KEPT: Final = 100


class Runs:
    """
    The runs of a database. Driver errors come out as `StoreUnavailableError` and `StoreRejectedError`.

    Every call may be repeated. Where a condition does not hold, nothing is changed and None comes back.
    """

    def __init__(self, database: AnyDatabase) -> None:
        self._runs = open_records(database, RUNS)
        self._history = open_records(database, HISTORY)

    async def enqueue(
        self,
        *,
        kind: str,
        collection: str,
        target: int,
        options: RunOptions,
        fingerprints: Mapping[str, str],
        by: str,
    ) -> RunRecord | None:
        """
        Open a run; None if the kind has an open one, or another process opened one at the same moment.
        """
        with translated():
            await self._runs.create_index(
                [("kind", ASCENDING)], name="one_open_run", unique=True, partialFilterExpression={"open": True}
            )
        last = await self.last(kind)
        number = 1 if last is None else int(last.id.rpartition("-")[2]) + 1
        run = new_run(
            id=f"{kind}-{number}",
            kind=kind,
            collection=collection,
            target=target,
            options=options,
            fingerprints=fingerprints,
            by=by,
        )
        entry = _entry(None, RunState.ENQUEUED, reason="an operator asked for it", by=by, why="")
        fields: Stored = {name: literal(value) for name, value in run.items() if name != "_id"}
        fields |= {
            "state": RunState.ENQUEUED.value,
            "state_reason": "",
            "open": True,
            "created": NOW,
            "transitions": [{"number": 1, **entry}],
            "moves": literal(1),
            "published": literal(0),
        }
        # An update, because only an update can write the server's time; an `_id` that is taken matches nothing here.
        with translated():
            try:
                await self._runs.update_one(
                    {"_id": run["_id"], "kind": {"$exists": False}}, [{"$set": fields}], upsert=True
                )
            except DuplicateKeyError:
                return None
        await self.publish(run["_id"])
        return await self.get(run["_id"])

    async def get(self, run: str) -> RunRecord | None:
        """
        Return a run.
        """
        found = await self._find({"_id": run}, limit=1)
        return found[0] if found else None

    async def last(self, kind: str) -> RunRecord | None:
        """
        Return the run of a kind that was asked for last.
        """
        found = await self._find({"kind": kind}, limit=1)
        return found[0] if found else None

    async def open(self, kind: str | None = None) -> list[RunRecord]:
        """
        Return the open runs: at most one of each kind.
        """
        return await self._find({"open": True} if kind is None else {"open": True, "kind": kind})

    async def kinds(self) -> list[str]:
        """
        Return the kinds that have runs.
        """
        with translated():
            return sorted(await self._runs.distinct("kind"))

    async def transitions(self, run: str) -> list[Stored]:
        """
        Return the newest transitions of a run, oldest first, as they stand in the history.
        """
        with translated():
            found: Stored | None = await self._runs.find_one({"_id": run}, {"transitions": 1})
        return [] if found is None else found["transitions"]

    async def move(
        self,
        run: str,
        before: RunState,
        after: RunState,
        *,
        by: str,
        why: str = "",
        changes: Mapping[str, Any] | None = None,
        only: Mapping[str, Any] | None = None,
    ) -> RunRecord | None:
        """
        Bring a run from one state to another, with its entry in the history.

        Args:
            run: The run.
            before: The state in which it has to be.
            after: The state in which it is then.
            by: Who wants it.
            why: What is to be said beyond the reason that the table of transitions gives.
            changes: Fields to set together with it.
            only: What else has to hold of the record.

        Raises:
            IllegalTransitionError: The table does not hold such a transition.
            RunOpenError: The kind has another open run by now.
        """
        reason = reason_for(before, after)
        moves = {"$add": ["$moves", 1]}
        entry = {"number": moves, **_entry(before, after, reason=reason, by=by, why=why)}
        fields: Stored = {name: literal(value) for name, value in (changes or {}).items()}
        fields |= {
            "state": after.value,
            "state_reason": literal(why or reason),
            "open": True if after in OPEN else "$$REMOVE",
            "transitions": {"$slice": [{"$concatArrays": ["$transitions", [entry]]}, -_KEPT]},
            "moves": moves,
            "started": {"$ifNull": ["$started", NOW if after is RunState.RUNNING else None]},
            "ended": None if after in OPEN else NOW,
        }
        if after is not RunState.RUNNING:
            fields["hold"] = None
        moved = await self._change({"_id": run, "state": before.value, **(only or {})}, [{"$set": fields}])
        if moved is not None:
            await self.publish(run)
        return moved

    async def advance(self, run: RunRecord, cursor: Cursor) -> bool:
        """
        Move a run's cursor on if it still stands where *run* has it; tell whether it was moved.

        Only runs that may be worked on are moved on.
        """
        only = {
            "_id": run.id,
            "cursor.seq": run.cursor.seq,
            "cursor.source": run.cursor.source,
            "pass": run.number_of_pass,
            "state": RunState.RUNNING.value,
        }
        with translated():
            result = await self._runs.update_one(only, {"$set": {"cursor": cursor.stored()}})
        return bool(result.matched_count)

    async def begin_pass(
        self, run: RunRecord, number: int, sources: Sequence[int | None], *, remaining: int, unfinished: int
    ) -> bool:
        """
        Begin to go through the old rows again, if nobody else has begun that pass.
        """
        fields = {"pass": number, "sources": list(sources), "cursor.source": 0, "remaining": remaining}
        only = {"_id": run.id, "pass": number - 1, "state": RunState.RUNNING.value}
        with translated():
            result = await self._runs.update_one(
                only, {"$set": {**fields, "unfinished_passes": unfinished}, "$unset": {"cursor.after": ""}}
            )
        return bool(result.matched_count)

    async def hold(self, run: str, reason: str, detail: str, *, seconds: float) -> None:
        """
        Keep a run from going on for a while; a hold for the same reason goes on, others are replaced.
        """
        since = {"$cond": [{"$eq": ["$hold.reason", reason]}, "$hold.since", NOW]}
        hold = {"reason": literal(reason), "detail": literal(detail), "since": since, "until": later(seconds)}
        await self._change({"_id": run, "open": True}, [{"$set": {"hold": hold}}])

    async def release(self, run: str, reason: str) -> None:
        """
        End a hold that was put on for this reason.
        """
        with translated():
            await self._runs.update_one({"_id": run, "hold.reason": reason}, {"$set": {"hold": None}})

    async def beat(
        self, run: str, *, worker: str, host: str, pid: int, rate: float | None, note: str, busy: bool
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
        fits = {"$or": [bool(note), {"$eq": [most, None]}, {"$in": [worker, "$workers.id"]}, {"$lt": [at_work, most]}]}
        entry = {
            "id": worker,
            "host": literal(host),
            "pid": literal(pid),
            "seen": NOW,
            "rate": literal(rate),
            "note": literal(note),
        }
        joined = {"$concatArrays": ["$$others", {"$cond": [fits, [entry], []]}]}
        fields: Stored = {"workers": {"$let": {"vars": {"others": others}, "in": joined}}}
        if busy:
            # What passed since any worker said so, unless all of them were silent for longer.
            passed = {"$subtract": [NOW, {"$ifNull": ["$beat", NOW]}]}
            counted = {"$cond": [{"$lte": [passed, round(WORKER_SEEN * 1000)]}, {"$divide": [passed, 1000]}, 0]}
            fields |= {"beat": NOW, "running_seconds": {"$add": ["$running_seconds", counted]}}
        return await self._change({"_id": run}, [{"$set": fields}])

    async def leave(self, run: str, worker: str) -> None:
        """
        Say that a worker is gone.
        """
        with translated():
            await self._runs.update_one({"_id": run}, {"$pull": {"workers": {"id": worker}}})

    async def set_option(self, run: str, name: str, value: float | None, *, seconds: float | None) -> RunRecord | None:
        """
        Change an option of an open run, for good or for so many seconds.
        """
        others = {"$filter": {"input": "$changes", "as": "each", "cond": {"$ne": ["$$each.name", name]}}}
        if seconds is None:
            fields: Stored = {f"options.{name}": literal(value), "changes": others}
        else:
            change = {"name": name, "value": literal(value), "until": later(seconds)}
            fields = {"changes": {"$concatArrays": [others, [change]]}}
        return await self._change({"_id": run, "open": True}, [{"$set": fields}])

    async def set_fields(self, run: str, **fields: Any) -> None:
        """
        Set fields of a run that nobody else writes meanwhile.
        """
        with translated():
            await self._runs.update_one({"_id": run}, {"$set": fields})

    async def publish(self, run: str) -> None:
        """
        Copy a run's transitions to `docstore_history`, as far as they are not there; idempotent.

        Whoever makes a transition publishes it. Should it die before that, whoever makes or looks for the next does.
        """
        with translated():
            found = await self._runs.find_one(
                {"_id": run, "$expr": {"$lt": ["$published", "$moves"]}},
                {"transitions": 1, "published": 1, "kind": 1},
            )
            if found is None:
                return
            for entry in found["transitions"]:
                if entry["number"] > found["published"]:
                    await self._history.update_one(
                        {"_id": {"run": run, "number": entry["number"]}},
                        {"$setOnInsert": {"schema_version": RECORD_VERSION, "kind": found["kind"], **entry}},
                        upsert=True,
                    )
            await self._runs.update_one({"_id": run}, {"$max": {"published": found["transitions"][-1]["number"]}})

    async def _find(self, filter: Stored, limit: int = 0) -> list[RunRecord]:
        stages: list[Stored] = [{"$match": filter}, {"$set": {"now": NOW}}, {"$sort": {"created": DESCENDING}}]
        if limit:
            stages.append({"$limit": limit})
        with translated():
            return [RunRecord.of(run) async for run in await settled(self._runs.aggregate(stages))]

    async def _change(self, filter: Stored, update: list[Stored]) -> RunRecord | None:
        stamped = [*update, {"$set": {"now": NOW}}]
        with translated():
            try:
                changed = await self._runs.find_one_and_update(filter, stamped, return_document=ReturnDocument.AFTER)
            except DuplicateKeyError as error:
                raise RunOpenError from error
        return None if changed is None else RunRecord.of(changed)


class RunOpenError(Exception):
    """
    The kind has another open run; a signal between this package and its callers, who name the kind.
    """


def _entry(before: RunState | None, after: RunState, *, reason: str, by: str, why: str) -> Stored:
    return {
        "at": NOW,
        "before": None if before is None else before.value,
        "after": after.value,
        "reason": literal(reason),
        "by": literal(by),
        "why": literal(why),
    }
