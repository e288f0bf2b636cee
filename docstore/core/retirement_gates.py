"""
Whether what stands below a version may be retired, with everything that stands in the way at once.

Pure: the facts are gathered by whoever asks, and rest on one moment of the fleet. Rows are counted after the nodes were
looked at, so that what a node stored that is gone by now is counted.
"""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from docstore.core.blocker import Blocker, Cause
from docstore.core.coverage import UNTAGGED_TYPES, ClientVersion, TagCount
from docstore.core.fleet_facts import Fleet, NodeFacts
from docstore.core.floor_state import FloorState
from docstore.core.rollout_gates import reader_blocker, retiring_blocker
from docstore.core.rollout_state import RolloutState
from docstore.core.version import tag_version
from docstore.core.write_version import ControlState, VersionRange

#: How long no row must have stood below, in seconds, unless somebody says otherwise.
SOAK: Final = 48 * 3600.0
#: What a tag has to be that a fence lets in. A double or a decimal equals a version, and is none in other languages.
SOUND_TYPES: Final = frozenset({"int", "long"})
#: The states in which nobody is about to store anything else.
_SETTLED: Final = frozenset({RolloutState.STABLE, RolloutState.COMPLETE})
_NEVER: Final = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)
_SPOKEN: Final = {
    Cause.ROWS_BELOW: "at version {}",
    Cause.ROWS_UNTAGGED: "without a tag",
    Cause.ROWS_UNREADABLE: "with a tag that is no version",
    Cause.ROWS_ODDLY_TAGGED: "with a tag that is a {}",
}


@dataclass(frozen=True, slots=True)
class Retirement:
    """
    What an operator asks for: that no row stands below a version ever again.
    """

    #: V: the floor that is to be.
    below: int
    #: How long no row must have stood below V, in seconds.
    soak: float = SOAK
    #: Whether the server is to refuse rows below V from then on.
    fenced: bool = True
    #: Nodes that died uncleanly and are known to be gone, by id or by instance.
    ignored_nodes: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class RetirementFacts:
    """
    What a verdict rests on: one moment of the database.
    """

    kind: str
    #: None where no node has ever worked with the kind.
    control: ControlState | None
    fleet: Fleet
    floor: FloorState
    #: Every row's tag, counted.
    tags: Sequence[TagCount] = ()
    #: Whether all of that is of one moment which no election can undo.
    exact: bool = True
    #: Rows that were put aside, by the version at which they stand; None where nobody knows.
    quarantined: Mapping[int | None, int] = field(default_factory=dict)
    #: The open run of the kind, if there is one.
    run: str | None = None
    #: The versions that clients have asked for lately.
    asked: Sequence[ClientVersion] = ()
    frozen: bool = False
    #: Since when counts have shown no row below V; None if they do not.
    clear_since: datetime.datetime | None = None
    #: The server's time.
    now: datetime.datetime = _NEVER


def retirement_blockers(wish: Retirement, facts: RetirementFacts, *, begun: bool = False) -> list[Blocker]:
    """
    Return what keeps everything below V from being retired; nothing if it may be.

    Args:
        wish: What is asked for.
        facts: What the verdict rests on.
        begun: The retirement that is recorded is the one that is asked about.
    """
    return [
        *_records(wish, facts, begun=begun),
        *writers_below(wish.below, facts, ignored=wish.ignored_nodes),
        *rows_below(wish.below, facts),
        *_soak(wish, facts),
    ]


def retirable_below(facts: RetirementFacts, highest: int) -> int | None:
    """
    Return the highest V up to *highest* for which no row, node or quarantine entry stands in the way.

    None if there is no such version above the recorded floor. Neither soak nor the state of the rollout is asked for
    here: they pass by themselves.
    """
    lowest = facts.floor.floor or 1
    for below in range(highest, lowest, -1):
        if not any(writers_below(below, facts)) and not any(rows_below(below, facts)):
            return below
    return None


def writers_below(below: int, facts: RetirementFacts, *, ignored: frozenset[str] = frozenset()) -> Iterator[Blocker]:
    """
    Give who could still store a row below a version, or needs to read one.

    A node that waits has nothing open and reads the control state before it has. One that only warns counts like any
    other. One that vanished counts where it stored versions below when it was last heard of: what it sent may still be
    under way.
    """
    kind, control = facts.kind, facts.control
    if control is None:
        words = f"no node has ever worked with {kind}, so nobody knows what is stored"
        yield Blocker(Cause.NEVER_STORED, kind, words)
        return
    if control.written.low < below:
        words = f"{kind} is stored at version {control.written.low}, below {below}"
        yield Blocker(Cause.WRITES_BELOW, kind, words, {"version": control.written.low, "below": below})
    for node in facts.fleet.live(kind):
        yield from _node(node, below, control)
    for node in facts.fleet.unclean(kind):
        if ignored.isdisjoint({node.id, node.instance}) and _lowest(node, control).low < below:
            words = (
                f"{node.name} vanished {node.silent:.0f} s ago without closing, and stored version "
                f"{_lowest(node, control).low} of {kind}"
            )
            yield Blocker(Cause.NODE_WRITES_BELOW, kind, words, _about(node, below))
    yield from _others(below, facts)


def rows_below(below: int, facts: RetirementFacts) -> Iterator[Blocker]:
    """
    Give the rows that stand below a version, or of which nobody can say that they do not.
    """
    kind = facts.kind
    if not facts.exact:
        words = f"rows of {kind} cannot be counted at one moment on this server"
        yield Blocker(Cause.NOT_EXACT, kind, words)
    tally: dict[tuple[Cause, int | str | None], int] = {}
    for count in facts.tags:
        for cause, what in _faults(count, below):
            tally[cause, what] = tally.get((cause, what), 0) + count.rows
    for (cause, what), rows in sorted(tally.items(), key=lambda each: (each[0][0], str(each[0][1]).zfill(9))):
        words = f"{_rows(rows)} of {kind} {_SPOKEN[cause].format(what)}"
        yield Blocker(cause, kind, words, {"rows": rows, "below": below, **({} if what is None else {"what": what})})
    aside = sum(rows for version, rows in facts.quarantined.items() if version is None or version < below)
    if aside:
        words = f"{_rows(aside)} of {kind} below version {below} in quarantine"
        yield Blocker(Cause.ROWS_QUARANTINED, kind, words, {"rows": aside, "below": below})


def _faults(count: TagCount, below: int) -> Iterator[tuple[Cause, int | str | None]]:
    if count.type in UNTAGGED_TYPES:
        # A fence lets no row without a tag in, whatever it stands at.
        yield Cause.ROWS_UNTAGGED, None
        return
    version = tag_version(count.value)
    if version is None:
        yield Cause.ROWS_UNREADABLE, None
        return
    if count.type not in SOUND_TYPES:
        yield Cause.ROWS_ODDLY_TAGGED, count.type
    if version < below:
        yield Cause.ROWS_BELOW, version


def _records(wish: Retirement, facts: RetirementFacts, *, begun: bool) -> Iterator[Blocker]:
    kind, control, floor = facts.kind, facts.control, facts.floor
    if facts.frozen:
        yield Blocker(Cause.FROZEN, kind, "everything is frozen")
    if floor.retiring is not None and not begun:
        yield retiring_blocker(kind, floor.retiring)
    if floor.floor is not None and floor.floor > wish.below:
        words = f"what is below version {floor.floor} of {kind} is retired already"
        yield Blocker(Cause.RETIRED, kind, words, {"floor": floor.floor, "below": wish.below})
    if control is not None and control.state not in _SETTLED:
        words = f"the rollout of {kind} is {control.state}, and neither stable nor complete"
        yield Blocker(Cause.WRONG_STATE, kind, words, {"before": str(control.state)})
    if facts.run is not None:
        yield Blocker(Cause.RUN_OPEN, kind, f"the run {facts.run} is open", {"run": facts.run})


def _soak(wish: Retirement, facts: RetirementFacts) -> Iterator[Blocker]:
    if wish.soak <= 0:
        return
    kind, hours = facts.kind, f"{wish.soak / 3600:g} h"
    if facts.clear_since is None:
        words = f"no count has shown that no row of {kind} stands below version {wish.below}, for {hours} on end"
        yield Blocker(Cause.SOAK, kind, words, {"below": wish.below, "soak": wish.soak, "left": wish.soak})
        return
    left = wish.soak - (facts.now - facts.clear_since).total_seconds()
    if left > 0:
        since = facts.clear_since.isoformat(timespec="seconds")
        words = (
            f"no row of {kind} has stood below version {wish.below} since {since}, and it has to be so for {hours}: "
            f"{left / 3600:.1f} h are left"
        )
        reported = {"below": wish.below, "soak": wish.soak, "since": since, "left": left}
        yield Blocker(Cause.SOAK, kind, words, reported)


def _others(below: int, facts: RetirementFacts) -> Iterator[Blocker]:
    """
    Give the readers that were declared by hand, and the clients, that have to do with versions below.
    """
    kind = facts.kind
    for reader in facts.fleet.readers_of(kind):
        if reader.writes is not None and reader.writes < below:
            words = f"{reader.service} (declared by {reader.by}) stores version {reader.writes} of {kind}"
            reported = {"service": reader.service, "version": reader.writes, "below": below}
            yield Blocker(Cause.READER_WRITES_BELOW, kind, words, reported)
        elif reader.reads.high < below:
            yield reader_blocker(reader, below)
    for asked in facts.asked:
        if asked.version < below:
            on = asked.last_asked.date().isoformat()
            words = f"clients asked for version {asked.version} of {kind}, last on {on}"
            yield Blocker(Cause.ASKED_FOR, kind, words, {"version": asked.version, "asks": asked.asks})


def _node(node: NodeFacts, below: int, control: ControlState) -> Iterator[Blocker]:
    kind = control.kind
    of_kind = node.kinds[kind]
    unsettled = -1 if control.unsettled is None else control.unsettled.epoch
    if of_kind.acknowledged is None or of_kind.acknowledged < unsettled:
        words = f"{node.name} has not acknowledged that {kind} is stored at version {control.write_version}"
        yield Blocker(Cause.NOT_ACKNOWLEDGED, kind, words, _about(node, below))
    elif _lowest(node, control).low < below <= control.written.low:
        words = f"{node.name} stores version {_lowest(node, control).low} of {kind}"
        yield Blocker(Cause.NODE_WRITES_BELOW, kind, words, _about(node, below))
    if of_kind.reads.high < below:
        words = f"{node.name} reads versions {of_kind.reads.low} to {of_kind.reads.high} of {kind}"
        yield Blocker(Cause.NODE_CANNOT_READ, kind, words, _about(node, below))


def _lowest(node: NodeFacts, control: ControlState) -> VersionRange:
    """
    Return what a node may store, by what it has acknowledged and by what it said when it was last heard of.
    """
    of_kind = node.kinds[control.kind]
    versions = control.may_be_written(acknowledged=of_kind.acknowledged)
    return versions if of_kind.writes is None else versions.joined(VersionRange(of_kind.writes, of_kind.writes))


def _about(node: NodeFacts, below: int) -> dict[str, object]:
    return {"node": node.id, "service": node.service, "instance": node.instance, "version": below}


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number:,} rows"
