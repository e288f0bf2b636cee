"""
Holding a drill, from the rows that it begins with to its report.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from docstore import commands
from docstore.core.bson_values import RawDocument, encode
from docstore.core.kind import Kind
from docstore.core.rollout_state import RolloutState
from docstore.core.write_version import VersionRange
from docstore.drill.comparing import Comparison, Demands, compare
from docstore.drill.crew import Crew, Release
from docstore.drill.journal import write_rows
from docstore.drill.node_order import NodeOrder
from docstore.drill.plan import PHASES, Move, Options, Phase
from docstore.drill.releases import counting, last_step, meeting_fields
from docstore.drill.report import (
    MOST_FAULTS,
    CheckReport,
    DrillReport,
    PhaseReport,
    faults_of,
    release_report,
)
from docstore.drill.rollout import DrillRollout
from docstore.drill.stage import Stage, first_rows, stage
from docstore.drill.worktree import revision
from docstore.errors import DrillRefusedError
from docstore.operations.published_step import step_data
from docstore.store.rows import RowReader

#: How long nodes may take to hear of published steps, in seconds: a few heartbeats, on a machine that is busy.
_HEARING: Final = 30.0


@dataclass(slots=True)
class Told:
    """
    What is told while a drill goes on; every call returns at once.
    """

    #: A phase begins: its name, and what it does.
    phase: Callable[[str, str], None] = lambda *_: None
    #: How many writes were acknowledged so far, to the old and to the new release.
    writes: Callable[[int, int], None] = lambda *_: None


@dataclass(slots=True)
class _Results:
    phases: list[PhaseReport] = field(default_factory=list)
    checks: list[tuple[str, Comparison]] = field(default_factory=list)


async def play(kind: Kind[Any], package: str, options: Options | None = None, told: Told | None = None) -> DrillReport:
    """
    Hold a drill: two releases write the same rows while the version that is stored goes up, back, and up again.

    Whatever happens, also when it is cancelled, no process, no private mongod, no database, no worktree and no file is
    left, unless `Options.keep` says so. The staging database is only read.

    Args:
        kind: The kind, as the new release has it.
        package: The package of kinds that holds it, for the processes of the nodes.
        options: How large, how long, and where.
        told: What is to be told meanwhile.

    Raises:
        DrillRefusedError: The kind has no step that a drill could rehearse, there are no rows, or the revision cannot
            be had; nothing was started.
        DrillBrokenError: A node failed, or rows stayed where they were.
        RolloutRefusedError: A gate said no.
        EmbeddedServerError: No private mongod can be had.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    options, told = options or Options(), told or Told()
    last_step(kind)
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(_folder(keep=options.keep))
        root = Path.cwd()
        if options.old is not None:
            checkout = revision(kind.name, package, options.old, folder / "old")
            root = await stack.enter_async_context(checkout)
        told.phase("prepare", "a database is made ready, and rows are stored in it")
        scene = await stack.enter_async_context(stage(options.uri, options.database))
        scene.keep = options.keep
        rows, source = await first_rows(counting(kind), scene, options.rows)
        drill = _Drill(
            kind, package, options=options, told=told, scene=scene, folder=folder, old_root=root, rows=rows.rows
        )
        results = await drill.run()
        faults = faults_of(results.checks)
        return DrillReport(
            kind=kind.name,
            old_version=kind.latest - 1,
            new_version=kind.latest,
            old_release=_old_release(kind, options),
            rows_from=source,
            rows=len(rows.rows),
            left_out=rows.left_out,
            together=drill.together,
            old=release_report(kind.latest - 1, drill.old.reports()),
            new=release_report(kind.latest, drill.new.reports()),
            phases=tuple(results.phases),
            checks=tuple(
                CheckReport(
                    after=after,
                    rows=check.rows,
                    writes=check.writes,
                    faults=len(check.faults),
                    uncertain=check.uncertain,
                )
                for after, check in results.checks
            ),
            faults=tuple(faults[:MOST_FAULTS]),
            fault_count=len(faults),
            passed=not faults,
            kept=scene.name if options.keep and options.uri is not None else None,
            journals=str(folder) if options.keep else None,
        )


class _Drill:
    """
    A drill once the rows are known.
    """

    def __init__(
        self,
        kind: Kind[Any],
        package: str,
        *,
        options: Options,
        told: Told,
        scene: Stage,
        folder: Path,
        old_root: Path,
        rows: tuple[RawDocument, ...],
    ) -> None:
        self._kind = counting(kind)
        self._options = options
        self._told = told
        self._scene = scene
        self._rows = rows
        self._phase = "start the nodes"
        self._rollout = DrillRollout(scene.database, self._kind, percent=options.percent, phase=lambda: self._phase)
        self._samples = folder / "rows.jsonl"
        pinned = NodeOrder(
            uri=scene.uri,
            database=scene.name,
            package=package,
            folder=old_root,
            kind=kind.name,
            latest=kind.latest - 1,
            model=options.old_model,
            own_model=options.old is not None,
            service="drill-old",
            instance="",
            rows=self._samples,
            journal=folder,
            seed=0,
            copied=_sorted(meeting_fields(kind)),
        )
        new = pinned.model_copy(
            update={
                "folder": Path.cwd(),
                "latest": None,
                "model": None,
                "own_model": True,
                "service": "drill-new",
                "copied": (),
            }
        )
        seed = options.seed * 1000
        self.old = Release(Crew("old", pinned, options.nodes), folder, seed=seed, phase=lambda: self._phase)
        self.new = Release(Crew("new", new, options.nodes), folder, seed=seed + 500, phase=lambda: self._phase)
        #: Whether the old release reads what the new one stores.
        self.together = False

    async def run(self) -> _Results:
        """
        Play all phases, and compare.
        """
        results = _Results()
        await asyncio.to_thread(write_rows, self._samples, self._rows)
        await self._scene.load(self._kind.collection, [dict(row) for row in self._rows])
        await self._scene.record_floor(self._kind)
        async with self.old, self.new, self._worker():
            # In the order of a rolling deploy.
            await self.old.start()
            if self.old.latest != self._kind.latest - 1:
                reason = (
                    f"the old release ends with version {self.old.latest}, and the new one with {self._kind.latest}"
                )
                raise DrillRefusedError(kind=self._kind.name, reason=f"{reason}: there is no one step between them")
            await self.new.start()
            # A step that holds Python is published by its name only: there is nothing to wait for.
            published = step_data(self._kind.name, self._kind.steps[-1])["operations"] is not None
            self.together = await self._rollout.all_read(self._kind.latest, within=_HEARING if published else 0.0)
            for phase in PHASES:
                results.phases.append(await self._play(phase))
                if phase.compares:
                    results.checks.append((phase.name, await self._compared(phase)))
            await self.old.stop()
            await self.new.stop()
        return results

    async def _play(self, phase: Phase) -> PhaseReport:
        self._phase = phase.name
        old_writes, new_writes, begun = self.old.writes(), self.new.writes(), time.monotonic()
        self._told.phase(phase.name, phase.text(self._kind.latest - 1, self._kind.latest, self._options.percent))
        if phase.move in {Move.CANARY, Move.ADVANCE} and not self.together:
            # No deploy leaves nodes behind that cannot read what is stored; no gate would let it happen.
            await self.old.stop()
        status = await self._rollout.make(phase.move)
        if status.state is RolloutState.STABLE and not self.old.there:
            await self.old.start()
        await self.old.resume()
        await self.new.resume()
        await self._writing(phase.share * self._options.seconds)
        return PhaseReport(
            name=phase.name,
            text=phase.text(self._kind.latest - 1, self._kind.latest, self._options.percent),
            seconds=round(time.monotonic() - begun, 1),
            state=str(status.state),
            write_version=status.write_version,
            old_writes=self.old.writes() - old_writes,
            new_writes=self.new.writes() - new_writes,
        )

    async def _writing(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 0.5))
            self._told.writes(self.old.writes(), self.new.writes())

    async def _compared(self, phase: Phase) -> Comparison:
        self._told.phase("compare", "every row is held against every acknowledged write")
        await self.old.pause()
        await self.new.pause()
        back = phase.move is Move.ROLL_BACK
        low, high = (self._kind.floor, self._kind.latest - 1) if back else (self._kind.latest, self._kind.latest)
        demands = Demands(await self._rollout.readable(), VersionRange(low, high))
        rows = await self._scene.rows(self._kind.collection)
        reader: RowReader[Any] = RowReader(self._kind)
        return await asyncio.to_thread(
            lambda: compare(
                self._kind,
                self._rows,
                [*self.old.entries(), *self.new.entries()],
                rows,
                demands=demands,
                read=lambda row: reader.read(encode(row)),
            )
        )

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[None]:
        """Bring rows to where the rollout wants them, as `docstore worker` does."""
        stop = asyncio.Event()
        working = asyncio.create_task(
            commands.work(self._scene.database, [self._kind], stop=stop, throttled=self._options.uri is not None)
        )
        try:
            yield
            stop.set()
            await working
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


def _old_release(kind: Kind[Any], options: Options) -> str:
    if options.old is not None:
        return f"revision {options.old}"
    model = "a model that takes every shape" if options.old_model is None else options.old_model
    return f"the same package without step {kind.latest}, with {model}"


def _sorted(names: frozenset[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(sorted(names))


@asynccontextmanager
async def _folder(*, keep: bool) -> AsyncIterator[Path]:
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="docstore-drill-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
