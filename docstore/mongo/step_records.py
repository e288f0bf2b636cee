"""
The published steps, in `docstore_steps`. A record is never changed, but for when it was last offered.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from docstore.mongo.driver import AnyDatabase
from docstore.mongo.failures import translated
from docstore.mongo.own_records import STEPS, open_records

#: A record as it is stored: what is published, `_id` and the time.
StepRecord = Mapping[str, Any]


class StepRecords:
    """
    The published steps of a database. Driver errors come out as `StoreUnavailableError` and `StoreRejectedError`.
    """

    def __init__(self, database: AnyDatabase) -> None:
        self._steps = open_records(database, STEPS)

    async def of(self, above: Mapping[str, int]) -> list[StepRecord]:
        """
        Return the steps that lead above a version of each kind; of one number, the one that was offered last is last.
        """
        if not above:
            return []
        wanted = [{"kind": kind, "to": {"$gt": version}} for kind, version in sorted(above.items())]
        with translated():
            found = self._steps.find({"$or": wanted}).sort([("kind", 1), ("to", 1), ("offered", 1)])
            return [record async for record in found]

    async def publish(self, steps: Sequence[Mapping[str, Any]]) -> bool:
        """
        Record steps that are not there yet; tell whether there were any. Idempotent.

        Steps of one number that differ stand beside each other, told apart by their fingerprints: which of them rows
        are stored by is for the control record to say, and as long as no row is, the one counts that was offered last.
        """
        floors: dict[str, int] = {}
        for step in steps:
            floors[step["kind"]] = min(step["to"] - 1, floors.get(step["kind"], step["to"]))
        last = {(record["kind"], record["to"]): record.get("fingerprint") for record in await self.of(floors)}
        new = [step for step in steps if last.get((step["kind"], step["to"])) != step["fingerprint"]]
        with translated():
            for step in new:
                key = {name: step[name] for name in ("kind", "to", "fingerprint")}
                await self._steps.update_one(
                    {"_id": key}, {"$setOnInsert": dict(step), "$currentDate": {"offered": True}}, upsert=True
                )
        return bool(new)
