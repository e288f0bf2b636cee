"""
Steps as nodes give them to each other: published by those that know them, taken by those whose code ends below.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import structlog

from docstore.core.kind import Kind
from docstore.core.write_version import ControlState
from docstore.errors import RecordFormatError
from docstore.fleet.clock import steady_seconds
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.step_records import StepRecord, StepRecords
from docstore.operations.published_step import PublishedStep, published_step, step_data, steps_above

_log: Final = structlog.get_logger("docstore.fleet")

#: How long to wait before the steps are asked for again that were not there, in seconds.
_ASK_AGAIN: Final = 1.0


class StepExchange:
    """
    Publishes the steps of some kinds, and keeps up to date what is known of the steps above them.

    Only the kinds that read what is newer (`core.newer_steps.reading`) take steps; the others are told of nothing.

    Args:
        database: Where the records are.
        kinds: The kinds.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self, database: AnyDatabase, kinds: Iterable[Kind[Any]], *, clock: Callable[[], float] = steady_seconds
    ) -> None:
        self._records = StepRecords(database)
        self._kinds = tuple(kinds)
        self._clock = clock
        self._marks: Mapping[str, Mapping[str, str]] = {}
        self._asking = asyncio.Lock()
        self._asked: float | None = None
        #: Why no step leads down from a version, by kind and version.
        self.reasons: dict[tuple[str, int], str] = {}

    async def publish(self) -> bool:
        """
        Publish every step; tell whether any of them was not there.

        Of those that hold Python the record says so, for whoever would have to run them.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database.
        """
        data = [step_data(kind.name, step) for kind in self._kinds for step in kind.steps]
        return await self._records.publish(data)

    async def load(self, controls: Mapping[str, ControlState] | None = None) -> bool:
        """
        Take the steps that are published now; tell whether any kind reads otherwise than before.

        Args:
            controls: What is stored, which decides between steps of one number; what was said last without it.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database.
        """
        if controls is not None:
            self._marks = {kind: control.steps for kind, control in controls.items()}
        taking = [kind for kind in self._kinds if kind.newer is not None]
        records = await self._records.of({kind.name: kind.latest for kind in taking})
        found = [_published(record) for record in records]
        changed = False
        for kind in taking:
            changed |= self._take(kind, [step for step in found if step.kind == kind.name])
        return changed

    async def learn(self) -> bool:
        """
        Look for steps because a row was met that no known step leads down from; tell whether there are new ones.

        Those who meet such rows at the same time, or soon after each other, look once.
        """
        met = self._clock()
        async with self._asking:
            if self._asked is not None and met < self._asked + _ASK_AGAIN:
                return False
            changed = await self.load()
            self._asked = self._clock()
            return changed

    def _take(self, kind: Kind[Any], found: Sequence[PublishedStep]) -> bool:
        if kind.newer is None:
            return False
        steps, reason = steps_above(found, latest=kind.latest, marks=self._marks.get(kind.name, {}))
        if reason is not None:
            version, words = reason
            if self.reasons.get((kind.name, version)) != words:
                _log.warning("newer rows cannot be read", kind=kind.name, version=version, reason=words)
            self.reasons[kind.name, version] = words
        before = [step.operations for step in kind.newer.steps]
        if [step.operations for step in steps] == before:
            return False
        kind.newer.replace(steps)
        highest = kind.latest + len(steps)
        _log.info("reads newer rows through published steps", kind=kind.name, latest=kind.latest, readable=highest)
        return True


def _published(record: StepRecord) -> PublishedStep:
    try:
        return published_step(record)
    except RecordFormatError as error:
        # What another release publishes must not keep a node from working with the steps of its own.
        return PublishedStep(record["kind"], record["to"], str(record.get("fingerprint")), None, str(error))
