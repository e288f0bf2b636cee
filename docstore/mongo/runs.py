"""
The records of runs, in `docstore_runs`.

Every change is one atomic update whose condition names what it rests on (a state, a place of the cursor), so any
number of processes may try the same at once: one of them changes something, and the others see that it is done.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import DuplicateKeyError

from docstore.core.direction import Direction
from docstore.core.run_record import Cursor, RunOptions, RunRecord, Stored, new_run
from docstore.core.run_state import OPEN, RunState, reason_for
from docstore.core.selected_rows import SelectedRows
from docstore.errors import RecordFormatError
from docstore.mongo.driver import AnyDatabase, settled
from docstore.mongo.failures import translated
from docstore.mongo.own_records import NOW, RUNS, later, literal, open_records
from docstore.mongo.run_history import RunHistory, first_entry, further_entry
from docstore.mongo.run_update import update_run

#: What the history says of a hold.
_HELD: Final = "the system put it on hold"


class Runs:
    """
    The runs of a database. Driver errors come out as `StoreUnavailableError` and `StoreRejectedError`.

    Every call may be repeated. Where a condition does not hold, nothing is changed and None comes back.
    """

    def __init__(self, database: AnyDatabase) -> None:
        self._runs = open_records(database, RUNS)
        self.history = RunHistory(database)

    async def enqueue(
        self,
        *,
        kind: str,
        collection: str,
        target: int,
        options: RunOptions,
        fingerprints: Mapping[str, str],
        by: str,
        why: str = "",
        direction: Direction = Direction.UP,
        selection: SelectedRows | None = None,
    ) -> RunRecord | None:
        """
        Open a run; None if the kind has an open one, or another process opened one at the same moment.
        """
        with translated():
            await self._runs.create_index(
                [("kind", ASCENDING)], name="one_open_run", unique=True, partialFilterExpression={"open": True}
            )
        last = await self.last(kind)
        number = 1 if last is None else last.number + 1
        run = new_run(
            id=f"{kind}-{number}",
            kind=kind,
            collection=collection,
            target=target,
            direction=direction,
            options=options,
            fingerprints=fingerprints,
            selection=selection,
            by=by,
        )
        fields: Stored = {name: literal(value) for name, value in run.items() if name != "_id"}
        fields |= {
            "state": RunState.ENQUEUED.value,
            "state_reason": literal(why),
            "open": True,
            "created": NOW,
            **first_entry(by=by, why=why),
        }
        # An update, because only an update can write the server's time; an `_id` that is taken matches nothing here.
        with translated():
            try:
                await self._runs.update_one(
                    {"_id": run["_id"], "kind": {"$exists": False}}, [{"$set": fields}], upsert=True
                )
            except DuplicateKeyError:
                return None
        await self.history.publish(run["_id"])
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

    async def open(
        self, kind: str | None = None, *, on_unknown: Callable[[str, RecordFormatError], None] | None = None
    ) -> list[RunRecord]:
        """
        Return the open runs: at most one of each kind.

        Args:
            kind: Only the run of this kind.
            on_unknown: Takes the kind and the error of a run whose format this release does not know, which is then
                left out. Without it the error is raised.

        Raises:
            RecordFormatError: See *on_unknown*.
        """
        return await self._find({"open": True} if kind is None else {"open": True, "kind": kind}, on_unknown=on_unknown)

    async def kept_before(self, run: RunRecord) -> list[RunRecord]:
        """
        Return the runs of the same kind that ended before this one was asked for, and of which more is kept.
        """
        ended = await self._find({"kind": run.kind, "open": {"$exists": False}, "forgotten": {"$exists": False}})
        return [each for each in ended if each.number < run.number]

    async def kinds(self) -> list[str]:
        """
        Return the kinds that have runs.
        """
        with translated():
            return sorted(await self._runs.distinct("kind"))

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
        fields: Stored = {name: literal(value) for name, value in (changes or {}).items()}
        fields |= {
            "state": after.value,
            "state_reason": literal(why or reason),
            "open": True if after in OPEN else "$$REMOVE",
            **further_entry(after=after, reason=reason, by=by, why=why),
            "started": {"$ifNull": ["$started", NOW if after is RunState.RUNNING else None]},
            "ended": None if after in OPEN else NOW,
        }
        if after is not RunState.RUNNING:
            fields["hold"] = None
        moved = await update_run(self._runs, {"_id": run, "state": before.value, **(only or {})}, fields)
        if moved is not None:
            await self.history.publish(run)
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

    async def hold(
        self, run: str, reason: str, detail: str, *, seconds: float, anew: bool = False, by: str | None = None
    ) -> None:
        """
        Keep a run from going on for a while; a hold for the same reason goes on, others are replaced.

        Args:
            run: The run.
            reason: Why, in one word.
            detail: Why, in many.
            seconds: For how long.
            anew: Have a hold whose time is over begin anew, also if it was for the same reason.
            by: Who puts it on, where the history is to say that it began.
        """
        goes_on: Stored = {"$eq": ["$hold.reason", reason]}
        if anew:
            goes_on = {"$and": [goes_on, {"$gt": ["$hold.until", NOW]}]}
        since = {"$cond": [goes_on, "$hold.since", NOW]}
        hold = {"reason": literal(reason), "detail": literal(detail), "since": since, "until": later(seconds)}
        fields: Stored = {"hold": hold}
        if by is not None:
            entry = further_entry(after=None, reason=_HELD, by=by, why=f"{reason}: {detail}")
            # Another hold may have come in between, as under load: it is told once nevertheless.
            told = {"$or": [goes_on, _told_last(reason)]}
            fields |= {name: {"$cond": [told, f"${name}", added]} for name, added in entry.items()}
        held = await update_run(self._runs, {"_id": run, "open": True}, fields)
        if held is not None and by is not None:
            await self.history.publish(run)

    async def release(self, run: str, reason: str) -> None:
        """
        End a hold that was put on for this reason.
        """
        with translated():
            await self._runs.update_one({"_id": run, "hold.reason": reason}, {"$set": {"hold": None}})

    async def set_option(
        self, run: str, name: str, value: float | None, *, seconds: float | None, by: str, why: str = ""
    ) -> RunRecord | None:
        """
        Change an option of an open run, for good or for so many seconds, with an entry in the history.
        """
        others = {"$filter": {"input": "$changes", "as": "each", "cond": {"$ne": ["$$each.name", name]}}}
        if seconds is None:
            fields: Stored = {f"options.{name}": literal(value), "changes": others}
        else:
            change = {"name": name, "value": literal(value), "until": later(seconds)}
            fields = {"changes": {"$concatArrays": [others, [change]]}}
        spoken = f"{name} = {'none' if value is None else f'{value:.10g}'}"
        if seconds is not None:
            spoken += f" for {seconds:.0f} s"
        spoken += f": {why}" if why else ""
        fields |= further_entry(after=None, reason="an operator changed an option", by=by, why=spoken)
        changed = await update_run(self._runs, {"_id": run, "open": True}, fields)
        if changed is not None:
            await self.history.publish(run)
        return changed

    async def avoid(self, run: str, row_id: Any) -> None:
        """
        Have no worker of a run take a row any more; may be repeated.
        """
        with translated():
            await self._runs.update_one({"_id": run}, {"$addToSet": {"deadly": row_id}})

    async def set_fields(self, run: str, **fields: Any) -> None:
        """
        Set fields of a run that nobody else writes meanwhile.
        """
        with translated():
            await self._runs.update_one({"_id": run}, {"$set": fields})

    async def _find(
        self,
        filter: Stored,
        limit: int = 0,
        *,
        on_unknown: Callable[[str, RecordFormatError], None] | None = None,
    ) -> list[RunRecord]:
        # By number and not by time: after an election the clock may stand behind that of the server before.
        number = {"$toLong": {"$arrayElemAt": [{"$split": ["$_id", "-"]}, -1]}}
        stages: list[Stored] = [
            {"$match": filter},
            {"$set": {"now": NOW, "number": number}},
            {"$sort": {"number": DESCENDING}},
        ]
        if limit:
            stages.append({"$limit": limit})
        with translated():
            stored = [run async for run in await settled(self._runs.aggregate(stages))]
        found = []
        for run in stored:
            try:
                found.append(RunRecord.of(run))
            except RecordFormatError as error:
                if on_unknown is None:
                    raise
                on_unknown(str(run.get("kind")), error)
        return found


def _told_last(reason: str) -> Stored:
    """
    Return the expression that tells whether the newest entry of a run's history is a hold for this reason.
    """
    newest = {"$arrayElemAt": ["$transitions", -1]}
    of_it = {"$eq": [{"$indexOfBytes": ["$$newest.why", literal(f"{reason}: ")]}, 0]}
    return {"$let": {"vars": {"newest": newest}, "in": {"$and": [{"$eq": ["$$newest.reason", _HELD]}, of_it]}}}
