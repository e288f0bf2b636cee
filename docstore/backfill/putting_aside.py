"""Putting rows aside that cannot be upgraded (P5): a record each, and the row stays as it is."""

import datetime
from collections.abc import Callable, Sequence

from docstore.backfill import events
from docstore.backfill.patience import patiently
from docstore.backfill.poison import record_of
from docstore.backfill.progress import Meter
from docstore.core.direction import Direction
from docstore.core.failed_row import FailedRow
from docstore.mongo.quarantine import Quarantine


class PuttingAside:
    """Writes the records of one run."""

    def __init__(
        self,
        quarantine: Quarantine,
        *,
        target: int,
        direction: Direction,
        with_text: bool,
        run: datetime.datetime,
        now: Callable[[], datetime.datetime],
        meter: Meter,
    ) -> None:
        self._quarantine = quarantine
        self.target = target
        self.direction = direction
        self._with_text = with_text
        self._run = run
        self._now = now
        self._meter = meter

    async def put(self, failed: Sequence[FailedRow], *, version: int | None) -> None:
        """
        Record rows by their ids and what was raised for them.

        Args:
            failed: The rows at fault.
            version: Where they stand, for errors that do not say.
        """
        if not failed:
            return
        records = [
            record_of(
                row.error,
                id=row.id,
                digest=row.digest,
                target=self.target,
                direction=self.direction,
                version=version,
                with_text=self._with_text,
            )
            for row in failed
        ]
        await patiently(lambda: self._quarantine.put(records, run=self._run, now=self._now()))
        events.rows_put_aside(
            kind=self._quarantine.kind, rows=len(records), error=records[0].error, first_id=records[0].row_id
        )
        self._meter.add(quarantined=len(records))
