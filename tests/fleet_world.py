"""
A database, its nodes and its operators as a model in memory: everything that is decided is decided by the pure rules.

Time is a number that the test moves on. What two parties do at once is told apart by the fleet's epoch, as the records
in a database do: whoever acts on what it saw is refused if anything has happened since.
"""

import datetime
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from docstore.core.admission import admission, reader_admission
from docstore.core.blocker import Blocker
from docstore.core.fleet_facts import DeclaredReader, Fleet, Lifetime, NodeFacts, NodeKind, Policy
from docstore.core.rollout_gates import (
    Overrides,
    Situation,
    StepFacts,
    completion_blockers,
    forward_blockers,
    reader_blocker,
    rollback_blockers,
)
from docstore.core.rollout_moves import advanced, canaried, completed, rolled_back
from docstore.core.rollout_state import OPEN, RolloutState
from docstore.core.write_version import ControlState, StoredRows, VersionRange, first_version
from tests.fleet_process import Process
from tests.item_releases import STEPS
from tests.stored_items import StoredItems

KIND = "place"
LIFE = Lifetime()
WAIT = 15.0
BEGINNING = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def mark(version: int) -> str:
    return f"step-{version}"


@dataclass
class World:
    """
    One kind, its rows, and everybody who works with it.
    """

    now: float = 0.0
    epoch: int = 0
    frozen: bool = False
    control: ControlState | None = None
    #: Where the rows stand.
    rows: dict[Any, int] = field(default_factory=dict)
    records: dict[str, NodeFacts] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    readers: tuple[DeclaredReader, ...] = ()
    #: The versions whose steps are published.
    published: set[int] = field(default_factory=set)
    processes: dict[str, Process] = field(default_factory=dict)
    born: int = 0
    items: StoredItems = field(init=False)

    def __post_init__(self) -> None:
        self.items = StoredItems(self.rows)

    def fleet(self) -> Fleet:
        nodes = (replace(facts, silent=self.now - self.seen[node]) for node, facts in self.records.items())
        return Fleet(tuple(nodes), self.readers)

    def stored(self) -> StoredRows:
        return StoredRows(min(self.rows.values(), default=None), max(self.rows.values(), default=None))

    def situation(self) -> Situation:
        assert self.control is not None
        open_rollouts = (KIND,) if self.control.state in OPEN else ()
        return Situation(self.control, self.fleet(), open_rollouts, self.frozen)

    def wait(self, seconds: float, *, beating: bool = True) -> None:
        """
        Let time pass, in which everybody who is not paused goes on with its heartbeats.
        """
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + LIFE.beat, end)
            for process in list(self.processes.values()):
                if beating:
                    self.beat(process)
                if self.now - process.sent >= LIFE.dead_after:
                    self.break_off(process)

    # What nodes do.

    def start(
        self,
        latest: int,
        *,
        service: str = "api",
        instance: str | None = None,
        floor: int = 1,
        policy: Policy = Policy.ENFORCE,
        borrows: bool = False,
    ) -> Process:
        self.born += 1
        process = Process(
            f"n{self.born}", service, instance or f"i{self.born}", floor, latest, policy, borrows, started=self.now
        )
        self.processes[process.id] = process
        return process

    def opened(self, latest: int, **facts: Any) -> Process:
        """
        Start a node and have it wait for its admission, as long as a node does.
        """
        process = self.start(latest, **facts)
        waited = 0.0
        while (refused := self.join(process)) and waited < WAIT:
            self.wait(1.0)
            waited += 1.0
        assert not refused, [blocker.words for blocker in refused]
        return process

    def join(self, process: Process, *, meanwhile: Callable[[], None] = lambda: None) -> list[Blocker]:
        """
        Ask for admission once; return what is in the way. *meanwhile* happens between the look and the act.
        """
        process.admitted = False
        if self.control is None:
            highest = min((reader.reads.high for reader in self.readers), default=None)
            version = first_version(self.stored(), baseline=1, latest=process.latest, readable_by_all=highest)
            if not all(reader.reads.holds(version) for reader in self.readers):
                return [reader_blocker(reader, version) for reader in self.readers]
            self.epoch += 1
            steps = {str(to): mark(to) for to in range(process.floor + 1, min(version, process.latest) + 1)}
            self.control = ControlState(KIND, version, self.epoch, steps=steps)
        sent = self.now
        refused = self._verdict(process)
        meanwhile()
        if not refused:
            # The claim can be seen, and voids what others have seen before; then it is looked at again.
            self._record(process, self._facts(process, self.control))
            self.epoch += 1
            refused = self._verdict(process)
        if refused:
            self.records.pop(process.id, None)
            return refused
        process.admitted, process.sent, process.held = True, sent, self.control
        self.published |= set(range(process.floor + 1, process.latest + 1))
        return []

    def readable(self, process: Process) -> int:
        """
        Return the highest version that a node reads, with the steps that are published.
        """
        version = process.latest
        while process.borrows and version + 1 in self.published:
            version += 1
        if process.kind.newer is not None and len(process.kind.newer.steps) != version - process.latest:
            process.kind.newer.replace(STEPS[process.latest - 1 : version - 1])
        return version

    def _verdict(self, process: Process) -> list[Blocker]:
        assert self.control is not None
        if process.policy is Policy.WARN:
            return []
        facts = self._facts(process, self.control)
        return admission(facts, fleet=self.fleet(), controls={KIND: self.control}, rows={KIND: self.stored()})

    def beat(self, process: Process, *, lag: float = 0.0) -> None:
        """
        Send a heartbeat that arrives *lag* seconds after it was sent; a node that is taken for dead joins anew.
        """
        if process.paused:
            return
        record = self.records.get(process.id)
        alive = record is not None and self.now - self.seen[process.id] < LIFE.dead_after
        if not process.admitted or not alive:
            self.join(process)
            return
        process.held = self.control
        assert process.held is not None
        self._record(process, self._facts(process, process.held))
        process.sent = self.now - lag

    def may_write(self, process: Process) -> bool:
        return process.admitted and not process.paused and self.now - process.sent < LIFE.fence_after

    def write(self, process: Process, id: Any) -> int | None:
        """
        Change a row as the node's write path does; return its version, or None where the node does not write.
        """
        return self.land(process) if self.decide(process, id) else None

    def decide(self, process: Process, id: Any) -> bool:
        """
        Have a write under way to the server; tell whether the node writes.
        """
        if not self.may_write(process) or process.held is None:
            return False
        self.readable(process)
        with ExitStack() as stack:
            control = stack.enter_context(process.in_flight.one(process.held))
            write = self.items.decided(process.kind, id, control)
            if write is not None:
                process.under_way.append((write, stack.pop_all()))
        return write is not None

    def land(self, process: Process) -> int | None:
        """
        Have the writes that are under way arrive; return the version at which the last of them stands, if it does.
        """
        version = None
        under_way, process.under_way = process.under_way, []
        for write, ending in under_way:
            with ending:
                version = self.items.land(write)
        return version

    def break_off(self, process: Process) -> None:
        """
        Have the writes that are under way never arrive.
        """
        under_way, process.under_way = process.under_way, []
        for _, ending in under_way:
            ending.close()

    def stop(self, process: Process) -> None:
        self.land(process)
        self.records.pop(process.id, None)
        self.processes.pop(process.id)

    def kill(self, process: Process) -> None:
        self.processes.pop(process.id)

    # What operators do.

    def forward(
        self,
        after: RolloutState,
        *,
        percent: float = 0.0,
        overrides: Overrides | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> list[Blocker]:
        now, epoch, overrides = self.situation(), self.epoch, overrides or Overrides()
        step = StepFacts(mark(now.control.next), invertible=True)
        blockers = forward_blockers(now, after, step, overrides)
        meanwhile()
        if not blockers and self.epoch == epoch:
            changes: dict[str, Any] = {
                "epoch": epoch + 1,
                "settled": now.fleet.settled(now.control),
                "step": step.fingerprint,
            }
            if after is RolloutState.CANARY:
                self._commit(canaried(now.control, percent=percent, **changes))
            else:
                self._commit(advanced(now.control, **changes))
        return blockers

    def rollback(self, *, overrides: Overrides | None = None) -> list[Blocker]:
        now = self.situation()
        blockers = rollback_blockers(now, overrides or Overrides())
        if not blockers:
            self._commit(rolled_back(now.control, epoch=self.epoch + 1, settled=now.fleet.settled(now.control)))
        return blockers

    def complete(self) -> list[Blocker]:
        now = self.situation()
        blockers = completion_blockers(now, self.stored())
        if not blockers:
            self._commit(completed(now.control, epoch=self.epoch + 1))
        return blockers

    def declare(self, reader: DeclaredReader) -> list[Blocker]:
        blockers = reader_admission(reader, fleet=self.fleet(), control=self.control, rows=self.stored())
        if not blockers:
            self.epoch += 1
            self.readers = (*(each for each in self.readers if each.service != reader.service), reader)
        return blockers

    def rewrite(self) -> None:
        """
        Have a worker bring every row to the write version.
        """
        assert self.control is not None
        down = self.control.state is RolloutState.ROLLING_BACK
        for row, version in list(self.rows.items()):
            if version < self.control.write_version or (down and version > self.control.write_version):
                self.items.rewrite(row, self.control.write_version)

    # What holds.

    def broken(self) -> Iterator[str]:
        """
        Say which promises do not hold; nodes that only warn have asked for it.
        """
        live = [node for node in self.fleet().live(KIND) if node.policy is Policy.ENFORCE]
        latest = {node.kinds[KIND].latest for node in live}
        if latest and max(latest) - min(latest) > 1:
            yield f"P7: live nodes know {sorted(latest)}"
        for name, reads in [(node.name, node.kinds[KIND].reads) for node in live] + [
            (reader.service, reader.reads) for reader in self.readers
        ]:
            for version in set(self.rows.values()):
                if not reads.holds(version):
                    yield f"P6: {name} cannot read version {version}"
            if self.control is not None and not reads.holds(self.control.write_version):
                yield f"P6: {name} cannot read the write version {self.control.write_version}"
        yield from self.items.broken(process.kind for process in self.processes.values() if process.admitted)

    def _commit(self, control: ControlState) -> None:
        self.epoch += 1
        assert control.epoch == self.epoch
        self.control = control

    def _record(self, process: Process, facts: NodeFacts) -> None:
        self.records[process.id] = facts
        self.seen[process.id] = self.now

    def _facts(self, process: Process, control: ControlState) -> NodeFacts:
        kind = NodeKind(
            floor=process.floor,
            latest=process.latest,
            readable=self.readable(process),
            writes=control.written.high,
            fingerprints={str(to): mark(to) for to in range(process.floor + 1, process.latest + 1)},
            acknowledged=process.in_flight.acknowledged(control),
            borrowed={str(to): mark(to) for to in range(process.latest + 1, self.readable(process) + 1)},
        )
        return NodeFacts(
            id=process.id,
            service=process.service,
            instance=process.instance,
            host="host",
            pid=1,
            docstore="0",
            policy=process.policy,
            kinds={KIND: kind},
            admitted=True,
            started=BEGINNING + datetime.timedelta(seconds=process.started),
            seen=BEGINNING + datetime.timedelta(seconds=self.now),
            silent=0.0,
            dead_after=LIFE.dead_after,
        )


def reader(service: str, low: int, high: int) -> DeclaredReader:
    return DeclaredReader(service, KIND, VersionRange(low, high), by="operator")
