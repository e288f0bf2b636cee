"""Counting which older versions are asked for, without a write for every question."""

import asyncio
import contextlib
import datetime
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from docstore.errors import RecordFormatError, StoreError
from docstore.mongo.client_versions import AskedFor, ClientVersions

#: How often what was counted is written, in seconds; the first question for a version on a day is written at once.
INTERVAL: Final = 60.0

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def utc_now() -> datetime.datetime:
    """Return the time of this machine's clock."""
    return datetime.datetime.now(datetime.UTC)


class AskedVersions:
    """
    Counts questions by kind, version and day, in memory, and adds them to the records now and then.

    Counting never waits and never fails. What cannot be written is kept and tried again with the next write. A
    process that is killed takes what it counted since its last write with it: up to a minute of questions, never the
    first one of a day.
    """

    def __init__(self, records: ClientVersions, *, now: Callable[[], datetime.datetime] = utc_now) -> None:
        self._records = records
        self._now = now
        self._counts: Counter[tuple[str, int, str]] = Counter()
        self._last: dict[tuple[str, int, str], datetime.datetime] = {}
        self._tried: set[tuple[str, int, str]] = set()
        self._written_at: datetime.datetime | None = None
        self._writing: asyncio.Task[None] | None = None
        #: Who closes and who asks meanwhile would take the same counts off.
        self._one_at_a_time = asyncio.Lock()

    def count(self, kind: str, version: int) -> None:
        """Count one question; begin a write in the background where one is due."""
        now = self._now()
        key = (kind, version, now.date().isoformat())
        self._counts[key] += 1
        self._last[key] = now
        due = self._written_at is None or now - self._written_at >= datetime.timedelta(seconds=INTERVAL)
        if (due or key not in self._tried) and (self._writing is None or self._writing.done()):
            self._written_at = now
            self._writing = asyncio.get_running_loop().create_task(self._write(), name="docstore client versions")

    async def close(self, *, timeout: float) -> None:  # noqa: ASYNC109 - a bound on good will, not on the call
        """Write what is counted, within *timeout* seconds; the rest is dropped. Doing so twice is no mistake."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                if self._writing is not None:
                    await asyncio.wait({self._writing})
                await self._write()

    async def _write(self) -> None:
        async with self._one_at_a_time:
            await self._write_all()

    async def _write_all(self) -> None:
        waiting = list(self._counts)
        while waiting:
            key = waiting.pop()
            kind, version, day = key
            # Taken off first: what is counted meanwhile is not lost.
            asks = self._counts.pop(key)
            self._tried.add(key)
            try:
                await self._records.add(kind, AskedFor(version, day, asks, self._last[key]))
            except (StoreError, RecordFormatError) as error:
                self._counts[key] += asks
                _log.warning("client_versions_not_counted", kind=kind, version=version, error=type(error).__name__)
                return
            # The first question of a day does not wait for the next time.
            waiting = waiting or [key for key in self._counts if key not in self._tried]
        today = self._now().date().isoformat()
        self._tried = {key for key in self._tried if key[2] == today}
        self._last = {key: last for key, last in self._last.items() if key in self._counts}
