"""
Whether a node, or a reader that is declared by hand, may work beside those that are there.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

from docstore.core.blocker import Blocker, Cause
from docstore.core.fleet_facts import DeclaredReader, Fleet, NodeFacts, NodeKind, Policy
from docstore.core.write_version import ControlState, StoredRows, VersionRange

#: Fingerprints of steps, by the version that they produce.
KeptBy: TypeAlias = Mapping[str, Sequence[str]]

#: Latest versions so far apart never run together.
_TOO_FAR: Final = 2


def admission(
    candidate: NodeFacts,
    *,
    fleet: Fleet,
    controls: Mapping[str, ControlState],
    rows: Mapping[str, StoredRows],
    kept: Mapping[str, KeptBy] = MappingProxyType({}),
) -> list[Blocker]:
    """
    Return everything that keeps a node from working with the database; nothing if it may.

    Its policy plays no part in it, and what the fleet says of the candidate itself does not count.

    Args:
        candidate: The node.
        fleet: Everybody else.
        controls: The control state of each of its kinds that has one.
        rows: Where the rows of each of its kinds stand.
        kept: By which steps rows of its kinds keep a residue, as far as that may speak against it.
    """
    found: list[Blocker] = []
    for kind, facts in sorted(candidate.kinds.items()):
        control = controls.get(kind)
        written = None if control is None else fleet.may_be_written(control, but=candidate.id)
        found += _unreadable(kind, facts.reads, written, rows[kind])
        found += _beside(kind, facts, fleet, but=candidate.id)
        if control is not None:
            found += _other_steps_than_stored(kind, facts, control)
        found += kept_by_others(kind, facts.fingerprints, kept.get(kind, {}))
    return found


def reader_admission(
    reader: DeclaredReader, *, fleet: Fleet, control: ControlState | None, rows: StoredRows
) -> list[Blocker]:
    """
    Return everything that the reader would meet and cannot read; nothing if it may be declared.
    """
    if control is None:
        return list(_unreadable(reader.kind, reader.reads, None, rows))
    return list(_unreadable(reader.kind, reader.reads, fleet.may_be_written(control), rows))


def _unreadable(kind: str, reads: VersionRange, written: VersionRange | None, rows: StoredRows) -> Iterator[Blocker]:
    if written is not None and reads.high < written.high:
        yield Blocker(
            Cause.CANNOT_READ_WRITES,
            kind,
            f"{kind} is stored at version {written.high}, and only versions up to {reads.high} can be read",
            {"written": written.high, "readable": reads.high},
        )
    if rows.highest is not None and reads.high < rows.highest:
        yield Blocker(
            Cause.CANNOT_READ_ROWS,
            kind,
            f"rows of {kind} stand at version {rows.highest}, and only versions up to {reads.high} can be read",
            {"row": rows.highest, "readable": reads.high},
        )
    lows = [low for low in (rows.lowest, None if written is None else written.low) if low is not None]
    if lows and min(lows) < reads.low:
        yield Blocker(
            Cause.FLOOR_ABOVE_ROWS,
            kind,
            f"{kind} is stored at version {min(lows)}, which lies below the floor {reads.low}",
            {"row": min(lows), "floor": reads.low},
        )


def _beside(kind: str, facts: NodeKind, fleet: Fleet, *, but: str) -> Iterator[Blocker]:
    for node in fleet.live(kind, but=but):
        other = node.kinds[kind]
        about = {"node": node.id, "service": node.service, "instance": node.instance}
        if abs(facts.latest - other.latest) >= _TOO_FAR:
            yield Blocker(
                Cause.SKEW,
                kind,
                f"{node.name} knows {kind} up to version {other.latest}, which is too far from {facts.latest}",
                {**about, "latest": facts.latest, "other_latest": other.latest},
            )
        different = sorted(
            (int(to) for to, mark in facts.fingerprints.items() if other.fingerprints.get(to, mark) != mark)
        )
        if different:
            yield Blocker(
                Cause.OTHER_STEP,
                kind,
                f"{node.name}{' (policy warn)' if node.policy is Policy.WARN else ''} has another step to version "
                f"{_listed(different)} of {kind}: one of the two has to end",
                {**about, "versions": different, "policy": node.policy.value},
            )


def _other_steps_than_stored(kind: str, facts: NodeKind, control: ControlState) -> Iterator[Blocker]:
    different = sorted(int(to) for to, mark in facts.fingerprints.items() if control.steps.get(to, mark) != mark)
    if different:
        yield Blocker(
            Cause.OTHER_STEP,
            kind,
            f"rows of {kind} were stored by another step to version {_listed(different)}",
            {"versions": different},
        )


def kept_by_others(kind: str, ours: Mapping[str, str], kept: KeptBy) -> Iterator[Blocker]:
    """
    Give what speaks against steps while rows keep a residue by others under the same number.

    Such a residue would be dropped, or come up with another meaning (P11).
    """
    for to, marks in sorted(kept.items(), key=lambda each: int(each[0])):
        others = sorted(set(marks) - {ours.get(to)})
        if others and to in ours:
            yield Blocker(
                Cause.OTHER_STEP,
                kind,
                f"rows of {kind} keep what another step to version {to} ({', '.join(others)}; this one is {ours[to]}) "
                f"gives back: put that step back, or give this one a new number; {to} is free once no row keeps "
                "anything by it, which a backfill up through that step brings about, and --accept-loss does not",
                {"versions": [int(to)], "step": ours[to], "kept_by": others},
            )


def _listed(versions: list[int]) -> str:
    return ", ".join(map(str, versions))
