"""
Nodes of four releases that come, go, pause and write, and operators who change their minds, in any order.
"""

import os
import random
from collections.abc import Callable
from typing import Any, ClassVar

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from docstore.core.fleet_facts import Policy
from docstore.core.rollout_gates import Overrides
from docstore.core.rollout_state import OPEN, RolloutState
from tests.conftest import SEED
from tests.fleet_process import Process
from tests.fleet_world import KIND, LIFE, World, reader

IDS = list(range(12))
WHICH = st.integers(0, 30)
SERVICES = st.sampled_from(["api", "jobs"])


class FleetMachine(RuleBasedStateMachine):
    """
    Versions 1 to 4; rows begin at 2, so the nodes are of N-1, N, N+1 and N+2.
    """

    actions: ClassVar[int] = 0
    moves: ClassVar[int] = 0

    @initialize(rows=st.booleans(), declared=st.integers(0, 3))
    def begin(self, *, rows: bool, declared: int) -> None:
        self.world = World(rows=dict.fromkeys(IDS[:6], 2) if rows else {})
        if declared:
            self.world.declare(reader("nightly", declared, declared))
        for _ in range(2):
            self.world.join(self.world.start(2))

    def _counted(self) -> World:
        FleetMachine.actions += 1
        return self.world

    def _one(self, which: int) -> Process | None:
        processes = list(self.world.processes.values())
        return processes[which % len(processes)] if processes else None

    @rule(
        latest=st.integers(1, 4),
        retired=st.integers(0, 2),
        service=SERVICES,
        policy=st.sampled_from([Policy.ENFORCE] * 9 + [Policy.WARN]),
        borrows=st.booleans(),
    )
    def start(self, *, latest: int, retired: int, service: str, policy: Policy, borrows: bool) -> None:
        world = self._counted()
        if len(world.processes) < 6:
            floor = max(1, latest - 2 + retired - 1)
            world.join(world.start(latest, service=service, floor=floor, policy=policy, borrows=borrows))

    @rule(latest=st.integers(1, 4))
    def start_while_an_operator_advances(self, latest: int) -> None:
        world = self._counted()
        if world.control is not None and len(world.processes) < 6:
            world.join(world.start(latest), meanwhile=lambda: self._moved(world.forward(RolloutState.OPEN)))

    @rule(latest=st.integers(1, 4))
    def advance_while_a_node_starts(self, latest: int) -> None:
        world = self._counted()
        if world.control is not None and len(world.processes) < 6:

            def joined() -> None:
                world.join(world.start(latest))

            world.forward(RolloutState.OPEN, meanwhile=joined)

    @rule(which=WHICH)
    def stop(self, which: int) -> None:
        world = self._counted()
        if (process := self._one(which)) is not None:
            world.stop(process)

    @rule(which=WHICH)
    def kill(self, which: int) -> None:
        world = self._counted()
        if (process := self._one(which)) is not None:
            world.kill(process)

    @rule(which=WHICH, paused=st.booleans())
    def pause_or_come_back(self, *, which: int, paused: bool) -> None:
        self._counted()
        if (process := self._one(which)) is not None:
            process.paused = paused

    @rule(which=WHICH, seconds=st.sampled_from([5.0, 7.0, 11.0, 30.0]), advancing=st.booleans())
    def stall_and_go_on_writing(self, *, which: int, seconds: float, advancing: bool) -> None:
        """
        Stop a process, have others go on, and have it write before it sends its next heartbeat.
        """
        world = self._counted()
        if (process := self._one(which)) is None:
            return
        world.decide(process, IDS[-1])
        process.paused = True
        world.wait(seconds)
        if advancing and world.control is not None:
            self._moved(world.forward(RolloutState.OPEN, overrides=self._overrides(ignored=True)))
            world.wait(LIFE.beat)
        process.paused = False
        world.land(process)
        self.write(which=which, ids=IDS[:2])

    @rule(which=WHICH, lag=st.floats(0, 3))
    def beat(self, which: int, lag: float) -> None:
        world = self._counted()
        if (process := self._one(which)) is not None:
            world.beat(process, lag=lag)

    @rule(seconds=st.sampled_from([0.5, 2.0, 5.0, 11.0]), beating=st.booleans())
    def time_passes(self, *, seconds: float, beating: bool) -> None:
        self._counted().wait(seconds, beating=beating)

    @rule(which=WHICH, ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=4))
    def write(self, which: int, ids: list[int]) -> None:
        world = self._counted()
        process = self._one(which)
        if process is None:
            return
        for row in ids:
            before = world.rows.get(row)
            version = world.write(process, row)
            if version is None:
                continue
            # A node that others take for dead has stopped writing by itself.
            assert world.now - world.seen[process.id] < LIFE.dead_after
            assert version in {before, *range(process.floor, world.readable(process) + 1)}

    @rule(which=WHICH, ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=4))
    def decide_writes(self, which: int, ids: list[int]) -> None:
        """
        Have writes under way to the server while others go on.
        """
        world = self._counted()
        if (process := self._one(which)) is not None:
            for row in ids:
                world.decide(process, row)

    @rule()
    def writes_arrive(self) -> None:
        world = self._counted()
        for process in world.processes.values():
            world.land(process)

    @rule(percent=st.sampled_from([0.0, 25.0, 60.0, 100.0]), ignored=st.booleans())
    def canary(self, *, percent: float, ignored: bool) -> None:
        world = self._counted()
        if world.control is not None:
            self._moved(world.forward(RolloutState.CANARY, percent=percent, overrides=self._overrides(ignored=ignored)))

    @rule(ignored=st.booleans())
    def advance(self, *, ignored: bool) -> None:
        world = self._counted()
        if world.control is not None:
            self._moved(world.forward(RolloutState.OPEN, overrides=self._overrides(ignored=ignored)))

    @rule(canaried=st.booleans(), paused=WHICH, told=st.booleans())
    def deploy_and_advance(self, *, canaried: bool, paused: int, told: bool) -> None:
        """
        Make way for the next version, as a deployment does, and begin to store it; one node may be hanging.
        """
        world = self._counted()
        if world.control is None or world.control.next > 4:
            return
        world.frozen, world.readers = False, ()
        world.epoch += 1
        for process in list(world.processes.values()):
            process.paused = False
            if process.latest < world.control.next:
                world.stop(process)
        world.join(world.start(world.control.next, floor=1))
        hanging = self._one(paused)
        if hanging is not None and paused % 2:
            hanging.paused = True
        after = RolloutState.CANARY if canaried else RolloutState.OPEN
        self._moved(world.forward(after, percent=50.0, overrides=self._overrides(ignored=True)))
        if told:
            world.wait(LIFE.beat)

    @rule(percent=st.sampled_from([0.0, 10.0]))
    def shrink_the_canary(self, percent: float) -> None:
        """
        Have rows stored by a canary, and go on with a smaller one: those that it does not take any more stay up.
        """
        for share in (100.0, percent):
            self.deploy_and_advance(canaried=True, paused=0, told=True)
            world = self._counted()
            if world.control is not None and world.control.state is RolloutState.CANARY:
                self._moved(world.forward(RolloutState.CANARY, percent=share, overrides=self._overrides(ignored=True)))
                world.wait(LIFE.beat)
            for process in world.processes.values():
                for row in IDS[:3]:
                    world.write(process, row)

    @rule(ignored=st.booleans())
    def roll_back(self, *, ignored: bool) -> None:
        world = self._counted()
        if world.control is not None:
            self._moved(world.rollback(overrides=self._overrides(ignored=ignored)))

    @rule(rewritten=st.booleans(), acknowledged=st.booleans(), again=st.booleans())
    def roll_back_and_release_the_old_binary(self, *, rewritten: bool, acknowledged: bool, again: bool) -> None:
        """
        Return to the version before, and start old nodes at once, while others may not have heard of it.
        """
        world = self._counted()
        if world.control is None:
            return
        if world.control.state not in OPEN:
            self.deploy_and_advance(canaried=False, paused=0, told=True)
        # Decided before, and still on their way when everybody else is done; rows that nobody has can be stored late.
        for process in world.processes.values():
            for row in IDS[-3:]:
                world.decide(process, row)
        self._moved(world.rollback(overrides=self._overrides(ignored=True)))
        if again:
            world.wait(LIFE.beat)
            self._moved(world.forward(RolloutState.OPEN, overrides=self._overrides(ignored=True)))
            self._moved(world.rollback(overrides=self._overrides(ignored=True)))
        if acknowledged:
            world.wait(LIFE.beat)
        if rewritten:
            world.rewrite()
            self._moved(world.complete())
        world.join(world.start(world.control.write_version))
        for process in list(world.processes.values()):
            world.land(process)
            for row in IDS[:3]:
                world.write(process, row)

    @rule(rewritten=st.booleans())
    def complete(self, *, rewritten: bool) -> None:
        world = self._counted()
        if world.control is not None:
            if rewritten and world.control.state is not RolloutState.STABLE:
                # The worker is a node too: it reads the newest version that there is.
                world.rewrite()
            self._moved(world.complete())

    @rule(frozen=st.booleans())
    def freeze(self, *, frozen: bool) -> None:
        world = self._counted()
        world.frozen = frozen
        world.epoch += 1

    @rule(service=st.sampled_from(["nightly", "java"]), low=st.integers(1, 3), span=st.integers(0, 2))
    def declare(self, service: str, low: int, span: int) -> None:
        self._counted().declare(reader(service, low, low + span))

    @rule()
    def forget(self) -> None:
        world = self._counted()
        world.readers = world.readers[1:]
        world.epoch += 1

    @invariant()
    def promises_hold(self) -> None:
        if hasattr(self, "world"):
            assert list(self.world.broken()) == []

    @rule(killed=st.booleans(), rows=st.lists(st.sampled_from(IDS), min_size=1, max_size=4))
    def release_the_old_binary_after_the_flip(self, *, killed: bool, rows: list[int]) -> None:
        """
        Replace every node by one that ends below the write version and reads through published steps.
        """
        world = self._counted()
        if world.control is None or world.control.write_version < 2:
            return
        latest = world.control.write_version - 1
        for process in list(world.processes.values()):
            (world.kill if killed else world.stop)(process)
        if killed:
            world.wait(LIFE.dead_after)
        old = world.start(latest, borrows=True)
        world.join(old)
        for row in rows:
            before = world.rows.get(row)
            version = world.write(old, row)
            # Never tagged down: a row that stands above is changed there.
            assert version is None or before is None or version >= before or before <= latest

    def _moved(self, blockers: list[Any]) -> None:
        FleetMachine.moves += not blockers

    def _overrides(self, *, ignored: bool) -> Overrides:
        names = frozenset(node.id for node in self.world.fleet().unclean(KIND)) if ignored else frozenset[str]()
        return Overrides(ignored_nodes=names, no_fleet=ignored)


@pytest.mark.timeout(900)
def test_no_order_of_events_breaks_a_promise(*, thorough: bool, record_property: Callable[[str, object], None]) -> None:
    wanted = 50_000 if thorough else 2_000
    FleetMachine.actions = FleetMachine.moves = 0
    chance = random.Random(os.environ[SEED])
    # How long it takes to draw measures the machine.
    slow = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large]
    while FleetMachine.actions < wanted:
        run_state_machine_as_test(
            hypothesis.seed(chance.getrandbits(32))(FleetMachine),
            settings=hypothesis.settings(
                max_examples=40, stateful_step_count=60, deadline=None, database=None, suppress_health_check=slow
            ),
        )

    record_property("fleet machine", f"{FleetMachine.actions} actions, {FleetMachine.moves} moves of the write version")
    assert FleetMachine.moves > wanted // 100
