"""
What an operator can do about what stands in the way of a rollout, cause by cause.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from docstore.core.blocker import Cause

_WAYS_OUT: Final[dict[Cause, str]] = {
    Cause.FLOOR_ABOVE_ROWS: "docstore backfill start {kind} --with-retired --wait lifts them, where retire --archive "
    "has kept the steps; else run the release that still has them",
    Cause.FLOOR_ABOVE_RECORD: "docstore retire {kind} --below {floor} records it once it is proved that no row stands "
    "below; until then run the release that still has the steps",
    Cause.ROWS_BELOW_FLOOR: "docstore backfill start {kind} --with-retired --wait lifts them",
    Cause.OTHER_COLLECTION: "docs/backups.md says what to look at; docstore fence apply {kind} settles on the "
    "collection that is there",
    Cause.FENCE_MISSING: "docstore fence apply {kind} puts it up again",
    Cause.FENCE_CHANGED: "docstore fence show {kind} shows both; docstore fence apply {kind} puts it up as recorded",
    Cause.RESTORED: "docstore backfill status shows the runs that came with it, which are paused as soon as anybody "
    "works here; docs/backups.md says what to do",
    Cause.FROZEN: "docstore rollout unfreeze ends the freeze",
    Cause.OTHER_ROLLOUT: "finish the other rollout first, or --alongside",
    Cause.WRONG_STATE: "docstore rollout status {kind} shows how it stands",
    Cause.NO_LIVE_NODE: "start a node, or --no-fleet if none reads these rows",
    Cause.NODE_CANNOT_READ: "deploy a release that reads it to every node, and stop the nodes that do not",
    Cause.READER_CANNOT_READ: "docstore fleet declare {service} {kind} --reads A..B, once it reads more",
    Cause.UNCLEAN_DEATH: "start a node in its place, or --ignore-node {instance} if it is known to be gone",
    Cause.UNKNOWN_STEP: "run the command with the package of the release that has the step (--upgraders)",
    Cause.OTHER_STEP: "run the command with the package that the nodes run, or deploy one and the same release to all",
    Cause.IRREVERSIBLE: "give the step a downgrade, or --irreversible",
    Cause.BELOW_FLOOR: "run the command with a package that still has the steps (--upgraders)",
    Cause.MISSING_INDEX: "--create-indexes builds what is missing",
    Cause.NOT_ACKNOWLEDGED: "wait a moment; docstore fleet shows who is late",
    Cause.ROWS_LEFT: "docstore backfill start {kind} moves them; docstore quarantine list {kind} lists the others",
    Cause.RUN_OPEN: "docstore backfill status {kind} shows the run; wait for it, or docstore backfill cancel {kind}",
    Cause.OTHER_OPERATOR: "docstore rollout history {kind} says who it was",
    Cause.RETIRED: "docstore rollout history {kind} says who has retired it; nothing leads below any more",
    Cause.RETIRING: "docstore retire {kind} --resume finishes it, docstore retire {kind} --undo puts everything back",
    Cause.NEVER_STORED: "start a node that works with {kind}",
    Cause.WRITES_BELOW: "docstore rollout advance {kind} has the next version stored",
    Cause.NODE_WRITES_BELOW: "docstore fleet shows who it is; wait, or stop it; --ignore-node {instance} if it "
    "vanished and is known to be gone",
    Cause.READER_WRITES_BELOW: "docstore fleet declare {service} {kind} --reads A..B --writes C, once it stores none; "
    "docstore fleet forget {service} {kind}, once it is gone",
    Cause.ROWS_BELOW: "docstore backfill start {kind} --wait brings them up",
    Cause.ROWS_UNTAGGED: "docstore adopt {kind} tags them; docstore backfill start {kind} --with-retired --wait does, "
    "where the version that it would tag them with is retired",
    Cause.ROWS_UNREADABLE: "find them by the $type of the tag, and mend the tag by hand",
    Cause.ROWS_ODDLY_TAGGED: "find them by the $type of the tag, and give them the same number as an int",
    Cause.ROWS_QUARANTINED: "docstore quarantine list {kind} says why, docstore quarantine retry {kind} tries again",
    Cause.ASKED_FOR: "docstore coverage {kind} shows which clients ask; have them ask for a newer version",
    Cause.NOT_EXACT: "retire on a replica set",
    Cause.FENCE: "have the collection's own rules be strict and enforced (validationLevel, validationAction); "
    "--unfenced goes without a fence, and leaves the floor unproved",
    Cause.NOT_RETIRING: "docstore rollout history {kind} says what became of it",
    Cause.SOAK: "wait; docstore coverage {kind} records that none came back; --soak says how long it has to be",
}
#: A rollout that was begun with no way back is not to be rolled back by any option.
_FORWARD_ONLY: Final = "mend it in a release that reads what is stored: the way leads forward only"


def ways_out(blockers: Iterable[Mapping[str, Any]]) -> str | None:
    """
    Return what can be done about everything that is in the way, each thing once; None where nothing is known.
    """
    found: list[str] = []
    for blocker in blockers:
        way = _way_out(blocker)
        if way is not None and way not in found:
            found.append(way)
    return "; ".join(found) or None


def _way_out(blocker: Mapping[str, Any]) -> str | None:
    cause = Cause(blocker["cause"])
    if cause is Cause.IRREVERSIBLE and "version" not in blocker["facts"]:
        return _FORWARD_ONLY
    way = _WAYS_OUT.get(cause)
    return None if way is None else way.format_map({"kind": blocker["kind"], **blocker["facts"]})
