"""
Whether an operator may move a kind's write version, with everything that stands in the way at once.

The verdicts rest on one moment of the fleet. Whoever acts on one makes it a condition that the fleet's epoch is still
the same, so that nobody can have joined meanwhile.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from docstore.core.admission import kept_by_others
from docstore.core.blocker import Blocker, Cause
from docstore.core.fleet_facts import DeclaredReader, Fleet
from docstore.core.floor_state import FloorState, Retiring
from docstore.core.index_spec import MissingIndex
from docstore.core.rollout_state import OPEN, TRANSITIONS, RolloutState
from docstore.core.write_version import ControlState, StoredRows, VersionRange


@dataclass(frozen=True, slots=True)
class Overrides:
    """
    What an operator takes upon himself, in so many words.
    """

    #: Go on although no node is alive.
    no_fleet: bool = False
    #: Begin a rollout although another one is open.
    alongside: bool = False
    #: Begin a rollout that cannot be rolled back.
    irreversible: bool = False
    #: Nodes that died uncleanly and are known to be gone, by id or by instance.
    ignored_nodes: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class StepFacts:
    """
    What is known of the step to N+1.
    """

    #: Its fingerprint; None where nobody at hand has it.
    fingerprint: str | None
    invertible: bool
    #: Indexes that the kind declares for N+1 and that are not there.
    missing_indexes: tuple[MissingIndex, ...] = ()
    #: The fingerprints of the steps under its number by which rows keep a residue.
    kept_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Situation:
    """
    What a verdict rests on: one moment of the database.
    """

    control: ControlState
    fleet: Fleet
    #: The kinds with an open rollout, as the fleet's record has them.
    open_rollouts: tuple[str, ...] = ()
    frozen: bool = False
    #: What is recorded of the kind's floor; None where nothing is.
    floor: FloorState | None = None


def forward_blockers(now: Situation, after: RolloutState, step: StepFacts, overrides: Overrides) -> list[Blocker]:
    """
    Return what keeps N+1 from being stored, for some ids (`CANARY`) or for all (`OPEN`); nothing if it may be.
    """
    kind, target = now.control.kind, now.control.next
    found = [*_frozen(now), *_state(now, after), *_retiring(now), *_beside(now, overrides)]
    found += _fleet(now, target, overrides)
    found += _vanished(now, target, overrides)
    if step.fingerprint is None:
        found.append(Blocker(Cause.UNKNOWN_STEP, kind, f"no step to version {target} of {kind} is known here"))
    else:
        found += _other_steps(now, target, step.fingerprint)
        found += kept_by_others(kind, {str(target): step.fingerprint}, {str(target): step.kept_by})
    if not step.invertible and not overrides.irreversible:
        words = f"the step to version {target} of {kind} has no way back"
        found.append(Blocker(Cause.IRREVERSIBLE, kind, words, {"version": target}))
    for index in step.missing_indexes:
        words = f"{kind} declares the index {index.name} for version {target}, and it is not there: {index.command}"
        facts = {"version": target, "index": index.name, "command": index.command}
        found.append(Blocker(Cause.MISSING_INDEX, kind, words, facts))
    return found


def rollback_blockers(now: Situation, overrides: Overrides, *, floor: int | None = None) -> list[Blocker]:
    """
    Return what keeps the write version from returning to N; nothing if it may. A freeze does not.

    Args:
        now: What the verdict rests on.
        overrides: What the operator takes upon himself.
        floor: The lowest version that the code at hand still has; None where nobody asks.
    """
    control = now.control
    target = control.write_version if control.previous is None else control.previous
    found = [*_state(now, RolloutState.ROLLING_BACK)]
    if control.irreversible:
        words = f"the rollout of {control.kind} was begun in the knowledge that it has no way back"
        found.append(Blocker(Cause.IRREVERSIBLE, control.kind, words))
    found += retired_blockers(now.floor, target)
    if floor is not None and target < floor:
        words = f"version {target} of {control.kind} lies below the floor {floor}: its steps are gone"
        found.append(Blocker(Cause.BELOW_FLOOR, control.kind, words, {"version": target, "floor": floor}))
    # In an incident nodes die: only those count here that could not read what is stored then.
    return [*found, *_fleet(now, target, overrides), *_vanished(now, target, overrides, only_blind=True)]


def completion_blockers(
    now: Situation, rows: StoredRows, *, quarantined: int = 0, accept_loss: bool = False
) -> list[Blocker]:
    """
    Return what keeps a rollout from its end: complete, or stable after a rollback; nothing if it is reached.

    Args:
        now: What the verdict rests on.
        rows: Where rows stand.
        quarantined: How many of them are put aside.
        accept_loss: Do not wait, after a rollback, for rows that cannot be brought down.
    """
    control = now.control
    kind, version = control.kind, control.write_version
    back = control.state is RolloutState.ROLLING_BACK
    found = [*_state(now, RolloutState.STABLE if back else RolloutState.COMPLETE)]
    for node in now.fleet.late(control):
        words = f"{node.name} has not acknowledged that {kind} is stored at version {version}"
        found.append(Blocker(Cause.NOT_ACKNOWLEDGED, kind, words, {"node": node.id, "service": node.service}))
    if back and accept_loss:
        return found
    if back and rows.highest is not None and rows.highest > version:
        words = f"rows of {kind} stand at version {rows.highest}, above the write version {version}"
        found.append(Blocker(Cause.ROWS_LEFT, kind, words, {"version": rows.highest}))
    if not back and rows.lowest is not None and rows.lowest < version:
        words = f"rows of {kind} stand at version {rows.lowest}, below the write version {version}"
        found.append(Blocker(Cause.ROWS_LEFT, kind, words, {"version": rows.lowest}))
    if quarantined:
        words = f"{quarantined} rows of {kind} are in quarantine"
        found.append(Blocker(Cause.ROWS_LEFT, kind, words, {"quarantined": quarantined}))
    return found


def reader_blocker(reader: DeclaredReader, version: int) -> Blocker:
    """
    Return what a declared reader stands in the way of: that a version is stored.
    """
    words = f"{reader.service} (declared by {reader.by}) {_reads(reader.reads)} of {reader.kind}"
    return Blocker(Cause.READER_CANNOT_READ, reader.kind, words, {"service": reader.service, "version": version})


def retired_blockers(floor: FloorState | None, version: int) -> Iterator[Blocker]:
    """
    Give what a recorded floor, or one that is about to be recorded, says against storing a version.
    """
    if floor is None:
        return
    if floor.floor is not None and version < floor.floor:
        words = f"version {version} of {floor.kind} is retired: no row stands below {floor.floor} any more"
        yield Blocker(Cause.RETIRED, floor.kind, words, {"version": version, "floor": floor.floor})
    if floor.retiring is not None and version < floor.retiring.below:
        yield retiring_blocker(floor.kind, floor.retiring)


def retiring_blocker(kind: str, retiring: Retiring) -> Blocker:
    """
    Return what a retirement that was begun stands in the way of.
    """
    words = f"{retiring.by} has begun to retire what is below version {retiring.below} of {kind}"
    return Blocker(Cause.RETIRING, kind, words, {"below": retiring.below, "by": retiring.by})


def _retiring(now: Situation) -> Iterator[Blocker]:
    if now.floor is not None and now.floor.retiring is not None:
        yield retiring_blocker(now.control.kind, now.floor.retiring)


def _frozen(now: Situation) -> Iterator[Blocker]:
    if now.frozen:
        yield Blocker(Cause.FROZEN, now.control.kind, "everything is frozen")


def _state(now: Situation, after: RolloutState) -> Iterator[Blocker]:
    before = now.control.state
    if (before, after) not in TRANSITIONS:
        words = f"the rollout of {now.control.kind} is {before}, which {after} cannot follow"
        yield Blocker(Cause.WRONG_STATE, now.control.kind, words, {"before": str(before), "after": str(after)})


def _beside(now: Situation, overrides: Overrides) -> Iterator[Blocker]:
    if now.control.state in OPEN or overrides.alongside:
        return
    for other in now.open_rollouts:
        if other != now.control.kind:
            words = f"a rollout of {other} is open, and one is open at a time"
            yield Blocker(Cause.OTHER_ROLLOUT, now.control.kind, words, {"other": other})


def _fleet(now: Situation, target: int, overrides: Overrides) -> Iterator[Blocker]:
    kind = now.control.kind
    if not any(now.fleet.live(kind)) and not overrides.no_fleet:
        yield Blocker(Cause.NO_LIVE_NODE, kind, f"no live node works with {kind}, so nobody can say what is read")
    for node in now.fleet.live(kind):
        if not node.kinds[kind].reads.holds(target):
            words = f"{node.name} {_reads(node.kinds[kind].reads)} of {kind}"
            facts = {"node": node.id, "service": node.service, "instance": node.instance, "version": target}
            yield Blocker(Cause.NODE_CANNOT_READ, kind, words, facts)
    for reader in now.fleet.readers_of(kind):
        if not reader.reads.holds(target):
            yield reader_blocker(reader, target)


def _vanished(now: Situation, target: int, overrides: Overrides, *, only_blind: bool = False) -> Iterator[Blocker]:
    kind = now.control.kind
    for node in now.fleet.unclean(kind):
        reads = node.kinds[kind].reads
        if not overrides.ignored_nodes.isdisjoint({node.id, node.instance}) or (only_blind and reads.holds(target)):
            continue
        words = f"{node.name} vanished {node.silent:.0f} s ago without closing, and {_reads(reads)} of {kind}"
        facts = {"node": node.id, "service": node.service, "instance": node.instance, "version": target}
        yield Blocker(Cause.UNCLEAN_DEATH, kind, words, facts)


def _other_steps(now: Situation, target: int, fingerprint: str) -> Iterator[Blocker]:
    kind = now.control.kind
    for node in now.fleet.live(kind):
        if node.kinds[kind].steps.get(str(target), fingerprint) != fingerprint:
            words = f"{node.name} has another step to version {target} of {kind}"
            yield Blocker(Cause.OTHER_STEP, kind, words, {"node": node.id, "service": node.service, "version": target})
    if now.control.steps.get(str(target), fingerprint) != fingerprint:
        words = f"rows of {kind} were stored by another step to version {target}"
        yield Blocker(Cause.OTHER_STEP, kind, words, {"version": target})


def _reads(reads: VersionRange) -> str:
    return f"reads versions {reads.low} to {reads.high}"
