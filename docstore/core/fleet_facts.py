"""
What is known of the processes that work with a database, as values.
"""

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from docstore.core.abort_rule import CanaryFigures
from docstore.core.write_version import ControlState, VersionRange

#: The share of its time after which a node stops writing by itself, before others take it for dead.
FENCE_SHARE: Final = 0.6
#: How often a node says that it is alive, and how long it is believed, unless told otherwise; in seconds.
BEAT: Final = 2.0
DEAD_AFTER: Final = 10.0
#: How long a node that died uncleanly is remembered, in seconds.
REMEMBERED: Final = 3600.0


class Policy(StrEnum):
    """
    What a node does when the fleet does not admit it.
    """

    #: It does not open.
    ENFORCE = "enforce"
    #: It says so and opens all the same; others count it like any node.
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Lifetime:
    """
    How often a node says that it is alive, and how long it is believed; in seconds.
    """

    beat: float = BEAT
    dead_after: float = DEAD_AFTER

    @property
    def fence_after(self) -> float:
        """
        How long after its last heartbeat was sent a node stops writing.
        """
        return self.dead_after * FENCE_SHARE

    @property
    def lasts(self) -> bool:
        """
        Whether a node that beats in time never has to stop writing.
        """
        return 0.0 < self.beat < self.fence_after


@dataclass(frozen=True, slots=True)
class NodeKind:
    """
    What a node can do with the rows of one kind.
    """

    #: The lowest version that it reads.
    floor: int
    #: The highest version that its own code knows.
    latest: int
    #: The highest version that it reads, with the steps that are published in the database.
    readable: int
    #: What it stores at the moment; None while it cannot write the kind.
    writes: int | None = None
    #: Its steps, by the version that each produces.
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    #: The epoch of the control state that it works with; None before it knows one.
    acknowledged: int | None = None
    #: The published steps above its latest through which it reads, by the version that each produces.
    borrowed: Mapping[str, str] = field(default_factory=dict)
    #: What it counted of the canary that it knows of; None without one.
    canary: CanaryFigures | None = None

    @property
    def reads(self) -> VersionRange:
        """
        The versions that it reads.
        """
        return VersionRange(self.floor, self.readable)

    @property
    def steps(self) -> Mapping[str, str]:
        """
        All steps by which it reads, its own and published ones, by the version that each produces.
        """
        return {**self.borrowed, **self.fingerprints}


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """
    One process that has the store open, or had it.
    """

    id: str
    service: str
    #: Names the place that the process fills in its service; its successor has the same.
    instance: str
    host: str
    pid: int
    #: The version of docstore.
    docstore: str
    policy: Policy
    kinds: Mapping[str, NodeKind]
    #: Whether the fleet has admitted it; else it waits.
    admitted: bool
    started: datetime.datetime
    seen: datetime.datetime
    #: How long it was not heard of, by the server's clock, in seconds.
    silent: float
    dead_after: float
    #: What keeps it from being admitted, in words.
    waits_for: tuple[str, ...] = ()

    @property
    def alive(self) -> bool:
        """
        Whether it is admitted and was heard of in time.
        """
        return self.admitted and self.silent < self.dead_after

    @property
    def name(self) -> str:
        """
        What people call it.
        """
        return f"{self.service}/{self.instance} (pid {self.pid})"


@dataclass(frozen=True, slots=True)
class DeclaredReader:
    """
    A reader of rows that docstore cannot see, declared by hand.
    """

    service: str
    kind: str
    reads: VersionRange
    by: str
    at: datetime.datetime | None = None
    #: The lowest version that it stores itself; None where it only reads.
    writes: int | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """
    Every process that is known, at one moment.
    """

    nodes: tuple[NodeFacts, ...] = ()
    readers: tuple[DeclaredReader, ...] = ()

    def live(self, kind: str | None = None, *, but: str | None = None) -> Iterator[NodeFacts]:
        """
        Give the nodes that are alive, or those of them that work with a kind.
        """
        for node in self.nodes:
            if node.alive and node.id != but and (kind is None or kind in node.kinds):
                yield node

    def unclean(self, kind: str | None = None) -> Iterator[NodeFacts]:
        """
        Give the nodes that vanished within the hour without closing, and whose place nobody has taken since.
        """
        places = [(node.service, node.instance, node.started) for node in self.live()]
        for node in self.nodes:
            if not node.admitted or node.alive or node.silent > REMEMBERED:
                continue
            place = (node.service, node.instance)
            succeeded = any((service, at) == place and started > node.seen for service, at, started in places)
            if not succeeded and (kind is None or kind in node.kinds):
                yield node

    def readers_of(self, kind: str) -> Iterator[DeclaredReader]:
        """
        Give the readers of a kind that were declared by hand.
        """
        return (reader for reader in self.readers if reader.kind == kind)

    def settled(self, control: ControlState) -> bool:
        """
        Tell whether every live node stores only what the control state says.
        """
        return not list(self.late(control))

    def late(self, control: ControlState) -> Iterator[NodeFacts]:
        """
        Give the live nodes that may still store what an earlier control state said.
        """
        if control.unsettled is None:
            return
        for node in self.live(control.kind):
            acknowledged = node.kinds[control.kind].acknowledged
            if acknowledged is None or acknowledged < control.unsettled.epoch:
                yield node

    def may_be_written(self, control: ControlState, *, but: str | None = None) -> VersionRange:
        """
        Return the versions that live nodes may store of a kind, whether they know the control state or an earlier one.
        """
        versions = control.written
        for node in self.live(control.kind, but=but):
            versions = versions.joined(control.may_be_written(acknowledged=node.kinds[control.kind].acknowledged))
        return versions
