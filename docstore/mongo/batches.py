"""
The records of batches, in `docstore_batches`: claimed under a lease, fenced by a token, timed by the server.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from pymongo import ASCENDING, ReturnDocument
from pymongo.errors import DuplicateKeyError

from docstore.core.batch_record import BatchRecord, BatchState, RunTotals, Tally, Task
from docstore.core.id_range import BEGINNING, IdRange
from docstore.core.record_format import BATCH
from docstore.core.run_record import RunRecord, Stored
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.failures import translated
from docstore.mongo.own_records import BATCHES, NOW, later, literal, open_records
from docstore.mongo.run_totals import keys_of, totals_of

#: Only batches that are not finished are in the index, so claiming costs the same however many are done.
_INDEX: Final = "open_batches"


class Batches:
    """
    The batches of a database's runs. Driver errors come out as `StoreUnavailableError` and `StoreRejectedError`.

    Who claims a batch holds it until its lease runs out by the server's clock; from then on anybody may claim it
    again, which raises its token. Whatever is written with an older token changes nothing and returns False.

    Args:
        database: Where the records are.
        owner: Who claims.
        lease: For how long, in seconds.
    """

    def __init__(self, database: AnyDatabase, *, owner: str, lease: float) -> None:
        self._batches = open_records(database, BATCHES)
        self._owner = owner
        self._lease = lease

    async def prepare(self) -> None:
        """
        Build the index of the open batches; idempotent.
        """
        with translated():
            await self._batches.create_index(
                [("_id.run", ASCENDING), ("until", ASCENDING)], name=_INDEX, partialFilterExpression={"open": True}
            )

    async def claim_waiting(self, run: str) -> BatchRecord | None:
        """
        Claim a batch that was given back, or whose lease has run out; the one that has waited longest.
        """
        is_lost = {"$eq": ["$state", BatchState.LEASED]}
        is_alone = {"$eq": ["$alone", "$token"]}
        lost, deaths = {"$ifNull": ["$lost", 0]}, {"$ifNull": ["$deaths", 0]}
        claim = {
            "state": BatchState.LEASED,
            "owner": literal(self._owner),
            "token": {"$add": ["$token", 1]},
            "until": later(self._lease),
            "lost": {"$add": [lost, {"$cond": [is_lost, 1, 0]}]},
            "deaths": {"$add": [deaths, {"$cond": [{"$and": [is_lost, is_alone]}, 1, 0]}]},
        }
        with translated():
            claimed = await self._batches.find_one_and_update(
                {"_id.run": run, "open": True, **BATCH.known, "$expr": {"$lte": ["$until", NOW]}},
                [{"$set": claim}],
                sort=[("until", ASCENDING)],
                return_document=ReturnDocument.AFTER,
            )
        return None if claimed is None else BatchRecord.of(claimed)

    async def open_new(
        self, run: RunRecord, task: Task, *, version: int | None = None, range: IdRange, size: int = 0
    ) -> BatchRecord | None:
        """
        Open the batch that comes after the run's last one, claimed; None if another worker was quicker.
        """
        batch = BatchRecord(
            run=run.id,
            seq=run.cursor.seq + 1,
            part="",
            task=task,
            number_of_pass=run.number_of_pass,
            version=version,
            range=range,
            size=size,
            token=1,
            tries=0,
        )
        inserted = await self._insert(batch, source=run.cursor.source, leased=True)
        return batch if inserted else None

    async def following(self, run: RunRecord) -> tuple[BatchRecord, int] | None:
        """
        Return the batch that another worker has opened after the run's last one, and its source; None if none has.
        """
        key = {"run": run.id, "seq": run.cursor.seq + 1, "part": ""}
        with translated():
            found = await self._batches.find_one({"_id": key})
        return None if found is None else (BatchRecord.of(found), found["source"])

    async def renew(self, batch: BatchRecord) -> bool:
        """
        Hold a batch for another lease; tell whether it is still held.
        """
        return await self._change(batch, {"until": later(self._lease)})

    async def begin_alone(self, batch: BatchRecord, *, rows: int) -> bool:
        """
        Say that a batch's worker works on nothing else from now on; tell whether it is still held.

        Should the lease run out, `deaths` counts it. What it says of many rows does not count against the last one.

        Args:
            batch: The batch.
            rows: How many rows of it are left.
        """
        fields: Stored = {"alone": "$token", "rows": literal(rows)}
        if rows == 1:
            fields["deaths"] = {"$cond": [{"$eq": ["$rows", 1]}, "$deaths", 0]}
        return await self._change(batch, fields)

    async def finish(
        self, batch: BatchRecord, state: str, *, tally: Tally, seconds: float, error: str | None = None
    ) -> bool:
        """
        Say that a batch needs nothing more; tell whether it was still held.
        """
        fields = {**_added(tally, seconds), "state": state, "open": "$$REMOVE", "until": "$$REMOVE", "ended": NOW}
        if error is not None:
            fields |= {"error": literal(error), "tries": {"$add": ["$tries", 1]}}
        return await self._change(batch, fields)

    async def give_back(
        self,
        batch: BatchRecord,
        *,
        tally: Tally = Tally(),  # noqa: B008 - a value
        seconds: float = 0.0,
        error: str | None = None,
        wait: float = 0.0,
    ) -> bool:
        """
        Let a batch go so that it is claimed again; with an error, that counts as a try.

        Args:
            batch: The batch.
            tally: What was done of it. Rows that are still old do not count: whoever has it next meets them again.
            seconds: How long that took.
            error: Why it could not be finished.
            wait: How long nobody should try again, in seconds.
        """
        fields = {**_added(_rewritten(tally), seconds), "state": BatchState.WAITING, "until": later(wait)}
        if error is not None:
            fields |= {"error": literal(error), "tries": {"$add": ["$tries", 1]}}
        return await self._change(batch, fields)

    async def split(
        self, batch: BatchRecord, middle: Any, *, tally: Tally, seconds: float, error: str | None = None
    ) -> bool:
        """
        Put two batches in the place of one; tell whether it was still held.

        Where to split is recorded first: whoever finds the batch after a crash carries on at the same place.
        """
        if batch.split_at is BEGINNING:
            if not await self._change(batch, {"split": {"at": literal(middle)}}):
                return False
        else:
            middle = batch.split_at
        ranges = (IdRange(batch.range.after, middle), IdRange(middle, batch.range.upto))
        for part, half in zip("01", ranges, strict=True):
            fresh = replace(
                batch,
                part=batch.part + part,
                range=half,
                size=(batch.size + 1) // 2,
                tries=0,
                token=0,
                split_at=BEGINNING,
                deaths=0,
            )
            await self._insert(fresh, source=0, leased=False)
        return await self.finish(batch, BatchState.SPLIT, tally=_rewritten(tally), seconds=seconds, error=error)

    async def count_open(self, run: str) -> int:
        """
        Return how many batches of a run are not finished.

        Raises:
            RecordFormatError: One has a format that this release does not know, so that it is never claimed here.
        """
        unfinished = {"_id.run": run, "open": True}
        with translated():
            strange = await self._batches.find_one({**unfinished, **BATCH.unknown})
            number = int(await self._batches.count_documents(unfinished))
        if strange is not None:
            BatchRecord.of(strange)
        return number

    async def any_leased(self, run: str) -> bool:
        """
        Tell whether anybody holds a batch of a run.
        """
        held = {"_id.run": run, "open": True, "state": BatchState.LEASED, "$expr": {"$gt": ["$until", NOW]}}
        with translated():
            return await self._batches.find_one(held, {"_id": 1}) is not None

    async def totals(self, run: str, *, from_seq: int = 0, number_of_pass: int | None = None) -> RunTotals:
        """
        Return what the batches of a run did, in all or in one pass.

        Rows that were put aside are met by every pass: of these the pass counts that put most of them aside.

        Args:
            run: The run.
            from_seq: The first batch to count.
            number_of_pass: Only batches of this pass.
        """
        match: Stored = {"_id": keys_of(run, from_seq)}
        if number_of_pass is not None:
            match["pass"] = number_of_pass
        with translated():
            return await totals_of(self._batches, match)

    async def last_error(self, run: str) -> str | None:
        """
        Return why the batch failed that failed last.
        """
        with translated():
            found = await self._batches.find_one(
                {"_id": keys_of(run), "error": {"$exists": True}}, {"error": 1}, sort=[("_id", -1)]
            )
        return None if found is None else str(found["error"])

    async def forget(self, runs: Sequence[str]) -> None:
        """
        Remove the batches of runs that have ended.
        """
        with translated():
            for run in runs:
                await self._batches.delete_many({"_id": keys_of(run)})

    async def _insert(self, batch: BatchRecord, *, source: int, leased: bool) -> bool:
        fields: Stored = {
            "schema_version": literal(BATCH.written),
            "task": batch.task,
            "pass": literal(batch.number_of_pass),
            "version": literal(batch.version),
            "source": literal(source),
            # One level down: the server would put its own time in the place of an empty timestamp.
            "range": literal(batch.range.stored()),
            "size": literal(batch.size),
            "state": BatchState.LEASED if leased else BatchState.WAITING,
            "open": True,
            "owner": literal(self._owner if leased else None),
            "token": literal(batch.token),
            "until": later(self._lease) if leased else NOW,
            "tries": literal(batch.tries),
            "lost": literal(batch.lost),
            "deaths": literal(batch.deaths),
            "tally": literal(asdict(Tally())),
            "seconds": literal(0.0),
            "created": NOW,
        }
        absent = {"_id": batch.key, "task": {"$exists": False}}
        with translated():
            try:
                await self._batches.update_one(absent, [{"$set": fields}], upsert=True)
            except DuplicateKeyError:
                return False
        return True

    async def _change(self, batch: BatchRecord, fields: Stored) -> bool:
        with translated():
            result = await self._batches.update_one(self._held(batch), [{"$set": fields}])
        return bool(result.matched_count)

    def _held(self, batch: BatchRecord) -> Stored:
        return {"_id": batch.key, "state": BatchState.LEASED, "owner": self._owner, "token": batch.token}


def _rewritten(tally: Tally) -> Tally:
    return Tally(server=tally.server, client=tally.client, conflicts=tally.conflicts)


def _added(tally: Tally, seconds: float) -> Stored:
    counts = {f"tally.{name}": {"$add": [f"$tally.{name}", number]} for name, number in asdict(tally).items() if number}
    return {**counts, "seconds": {"$add": ["$seconds", seconds]}}
