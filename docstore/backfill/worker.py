"""
The worker: a process that looks for open runs and takes its share of each.
"""

import asyncio
import datetime
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from docstore.backfill import events
from docstore.backfill.ceiling import above
from docstore.backfill.ending import GRACE, Ending
from docstore.backfill.failing import described
from docstore.backfill.metrics import WorkerMetrics
from docstore.backfill.progress import Meter
from docstore.backfill.rollout_following import RolloutFollowing
from docstore.backfill.run_work import RunWork
from docstore.backfill.throttling import Throttling
from docstore.backfill.turns import Turns
from docstore.backfill.who import Who
from docstore.core.kind import Kind
from docstore.core.run_record import RunRecord
from docstore.core.run_state import CLAIMABLE
from docstore.errors import RecordFormatError, StoreError, StoreRejectedError, StoreUnavailableError
from docstore.fleet.home import settle_home
from docstore.fleet.membership import Alone, Membership
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.failures import Reaction, reaction_to
from docstore.mongo.runs import Runs

#: How long a batch is held, in seconds, unless its worker says otherwise.
LEASE: Final = 30.0
#: Why a worker does not begin with a way back.
_LATE_NODE: Final = "waits for a node that may still store the version above: docstore rollout status names it"
#: Why a worker leaves a run alone whose kind it does not have.
_NO_KIND: Final = "the package of upgraders that this worker was given does not hold the kind"
#: How often to look for open runs, in seconds.
POLL: Final = 1.0
#: How long a run is left alone after this worker could not go on with it, in seconds.
REST: Final = 2.0


class Worker:
    """
    Works on every open run of the kinds it knows, together with any number of other workers.

    Args:
        database: Where the rows and the records are.
        kinds: The kinds, by name.
        who: This worker.
        ending: Once its `stop` is set, batches are finished or given back, and `work` returns within a few seconds.
        now: The clock that quarantine records are dated with.
        lease: How long others wait before they take over a batch of a worker that vanished, in seconds.
        concurrency: How many batches of each run to work on at the same time.
        throttling: Says when a batch may begin; without one only the batches' own time holds back.
        metrics: Counts what batches come to, if anybody wants it.
        member: This process as a part of its fleet; without one it works alone.
    """

    def __init__(
        self,
        database: AnyDatabase,
        kinds: Mapping[str, Kind[Any]],
        *,
        who: Who,
        ending: Ending,
        now: Callable[[], datetime.datetime],
        lease: float = LEASE,
        concurrency: int = 1,
        throttling: Throttling | None = None,
        metrics: WorkerMetrics | None = None,
        member: Membership | None = None,
    ) -> None:
        self._member = member or Alone(tuple(kinds.values()))
        self._database = database
        self._kinds = kinds
        self._who = who
        self._ending = ending
        self._stop = ending.stop
        self._now = now
        self._lease = lease
        self._concurrency = concurrency
        self._throttling = throttling or Throttling()
        self._turns = Turns()
        self._metrics = metrics
        self._runs = Runs(database)
        self._rollouts = RolloutFollowing(database, by=who.name, now=now)
        self._at_work: dict[str, asyncio.Task[None]] = {}
        #: Runs that are left alone until then (by the event loop's clock).
        self._resting: dict[str, float] = {}
        #: Why this worker cannot work on a run, by run; its code does not change while it runs.
        self._obstacles: dict[str, str] = {}

    async def work(self, *, drain: bool) -> None:
        """
        Work until asked to stop, or with *drain* until no run is open that this worker could work on.

        A database that is away is waited for, however long it takes; every look in vain is logged.
        """
        try:
            while not self._stop.is_set():
                try:
                    able = await self._ending.unless_stopped(self._look(), grace=0.0)
                except (StoreUnavailableError, StoreRejectedError) as error:
                    if reaction_to(error) is Reaction.FAIL:
                        raise
                    events.worker_waits(reason=error.reason)
                else:
                    if drain and able == 0 and not self._at_work:
                        return
                await self._ending.unless_stopped(asyncio.sleep(POLL), grace=0.0)
        finally:
            await self._end()

    async def _look(self) -> int:
        """
        Begin to work on runs that are open; return how many of them, and rollouts to end, there are for this worker.
        """
        self._at_work = {run: task for run, task in self._at_work.items() if not task.done()}
        # Before the runs: it may ask for one.
        able = int(await self._rollouts.look(self._kinds.values()))
        for run in await self._runs.open(on_unknown=self._unknown):
            kind = self._kinds.get(run.kind)
            if kind is None:
                self._foreign(run)
                continue
            await self._runs.history.publish(run.id)
            if run.id in self._at_work:
                continue
            if run.state not in CLAIMABLE:
                await self._work_on(kind).settle(run.id)
            elif note := self._obstacle(kind, run):
                await self._work_on(kind).tell(run.id, note)
            elif await self._rollouts.holds_back(run):
                await self._work_on(kind).tell(run.id, _LATE_NODE)
                able += 1
            else:
                able += 1
                if self._resting.get(run.id, 0.0) <= asyncio.get_running_loop().time():
                    if await settle_home(self._database, by=self._who.name):
                        # Restored under this worker: nobody goes on with what is found there.
                        return able
                    self._at_work[run.id] = asyncio.create_task(self._share(kind, run))
        return able

    def _obstacle(self, kind: Kind[Any], run: RunRecord) -> str:
        """
        Return why this worker cannot work on a run, and log it the first time.
        """
        if reason := above(self._member, run.kind, run.target, run.direction):
            # That may change from one moment to the next.
            return reason
        if run.id not in self._obstacles:
            self._obstacles[run.id] = note = self._work_on(kind).obstacle(run)
            if note:
                events.run_not_joined(kind=run.kind, run=run.id, reason=note)
        return self._obstacles[run.id]

    def _foreign(self, run: RunRecord) -> None:
        """
        Leave a run to workers that have its kind, as those of another service may, and log it the first time.
        """
        if run.id not in self._obstacles:
            self._obstacles[run.id] = _NO_KIND
            events.run_of_others(kind=run.kind, run=run.id, reason=_NO_KIND)

    def _unknown(self, kind: str, error: RecordFormatError) -> None:
        """
        Leave a run to workers of another release, and log it the first time.
        """
        if error.record not in self._obstacles:
            self._obstacles[error.record] = str(error)
            events.run_not_joined(kind=kind, run=error.record, reason=str(error))

    async def _share(self, kind: Kind[Any], run: RunRecord) -> None:
        try:
            await self._work_on(kind).work(run.id)
        except Exception as error:  # noqa: BLE001 - the other runs go on, and this one is looked at again
            reason = described(error)
            events.run_left(kind=run.kind, run=run.id, reason=reason)
            with suppress(StoreError):
                await self._work_on(kind).tell(run.id, f"it had to stop: {reason}")
        # Also where there was no place for this worker: it looks again later.
        self._resting[run.id] = asyncio.get_running_loop().time() + REST

    def _work_on(self, kind: Kind[Any]) -> RunWork:
        return RunWork(
            self._database,
            kind,
            who=self._who,
            meter=Meter(),
            stop=self._stop,
            now=self._now,
            lease=self._lease,
            concurrency=self._concurrency,
            throttling=self._throttling,
            turns=self._turns,
            metrics=self._metrics,
            member=self._member,
        )

    async def _end(self) -> None:
        tasks = list(self._at_work.values())
        if tasks and self._stop.is_set():
            await asyncio.wait(tasks, timeout=self._ending.left(GRACE))
        await self._ending.end(*tasks)
