"""What runs together, and what may be stored."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from docstore.errors.base import DocstoreError

_FLOOR_LIFT: Final = (
    "docstore backfill start {kind} --with-retired --wait lifts them by the steps that retire --archive has kept; "
    "or run the release that still has the steps"
)
_FLOOR_RETIRE: Final = (
    "docstore retire {kind} --below {floor} records the floor once it is proved that no row stands below; "
    "until then run the release that still has the steps"
)


class FleetError(DocstoreError):
    """The processes that work with a database, or what was asked of them, are at fault."""


class NodeRefusedError(FleetError):
    """
    A node was not admitted: what it reads does not fit what is stored, or who else is there.

    `blockers` holds every reason as facts: each with `cause`, `kind`, `words` and what belongs to the cause.
    """

    def __init__(self, *, service: str, blockers: Sequence[Mapping[str, Any]], waited: float) -> None:
        self.service = service
        self.blockers = tuple(dict(blocker) for blocker in blockers)
        self.waited = waited
        super().__init__(
            f"this node of {service} is not admitted (waited {waited:.0f} s): {_sentence(self.blockers)}",
            advice="docstore fleet shows who is there; deploy a release that reads what is stored, or wait",
        )


class FleetSkewError(NodeRefusedError):
    """A node was not admitted because its latest version of a kind is two or more away from another live node's."""


class FloorMismatchError(NodeRefusedError):
    """
    Code was to be used that lacks steps which stored rows need, or may come to need; no policy passes over that.

    `floor` is the lowest version that the code reads, `recorded` the floor that is recorded in the database (None where
    none is), and `rows_below` how many rows stand below `floor`. `blockers` names the other kinds, too.
    """

    def __init__(
        self,
        *,
        service: str,
        kind: str,
        floor: int,
        recorded: int | None,
        rows_below: int,
        blockers: Sequence[Mapping[str, Any]],
    ) -> None:
        self.service = service
        self.kind = kind
        self.floor = floor
        self.recorded = recorded
        self.rows_below = rows_below
        self.blockers = tuple(dict(blocker) for blocker in blockers)
        self.waited = 0.0
        below = (
            "no row stands" if not rows_below else "1 row stands" if rows_below == 1 else f"{rows_below:,} rows stand"
        )
        FleetError.__init__(
            self,
            f"this node of {service} does not fit the floor of {kind}: {_sentence(self.blockers)} ({below} below it)",
            advice=_FLOOR_LIFT.format(kind=kind) if rows_below else _FLOOR_RETIRE.format(kind=kind, floor=floor),
        )


class StaleNodeError(FleetError):
    """
    The node was not heard of in time, so others may take it for dead; it does not write until it is admitted anew.
    """

    def __init__(self, *, service: str, silent: float, limit: float) -> None:
        self.service = service
        self.silent = silent
        self.limit = limit
        super().__init__(
            f"this node of {service} does not write: its last heartbeat was sent {silent:.1f} s ago, "
            f"and after {limit:.1f} s it has to be admitted anew",
            advice="reads go on; it returns to the fleet by itself as soon as the database answers and admits it",
        )


class StoreClosedError(FleetError):
    """A store was to write after it was closed: it has left the fleet, and nobody waits for it any more."""

    def __init__(self, *, service: str) -> None:
        self.service = service
        super().__init__(f"this store of {service} is closed and does not write", advice="reads go on; open it again")


class WriteVersionUnwritableError(FleetError):
    """
    A row has to be stored at a version that this code cannot store; nothing was written, and reads go on.

    `write_version` is that version, `latest` the highest that the code knows, and `reason` says what is missing.
    """

    def __init__(self, *, kind: str, write_version: int, latest: int, reason: str) -> None:
        self.kind = kind
        self.write_version = write_version
        self.latest = latest
        self.reason = reason
        super().__init__(
            f"{kind} is stored at version {write_version}, and this node cannot store it so: {reason}",
            advice=f"docstore rollout advance {kind} has the next version stored, as soon as every node reads it",
        )


class RolloutRefusedError(FleetError):
    """
    A change of what is stored was asked for that a gate does not let happen; nothing was changed.

    `blockers` holds everything that stands in the way, as facts.
    """

    def __init__(
        self, *, kind: str, asked: str, blockers: Sequence[Mapping[str, Any]], advice: str | None = None
    ) -> None:
        self.kind = kind
        self.asked = asked
        self.blockers = tuple(dict(blocker) for blocker in blockers)
        super().__init__(f"{asked} of {kind} is refused: {_sentence(self.blockers)}", advice=advice)


class RetirementRefusedError(RolloutRefusedError):
    """
    What stands below a version was to be retired, and something is in the way; everything is as it was before.

    `below` is that version (None where none was named), and `blockers` holds everything that is in the way, as facts.
    """

    def __init__(self, *, kind: str, below: int | None, asked: str, blockers: Sequence[Mapping[str, Any]]) -> None:
        self.below = below
        super().__init__(kind=kind, asked=asked, blockers=blockers)


class ReaderRefusedError(FleetError):
    """A reader was to be declared that cannot read what is stored; `blockers` says what it would meet."""

    def __init__(self, *, service: str, kind: str, blockers: Sequence[Mapping[str, Any]]) -> None:
        self.service = service
        self.kind = kind
        self.blockers = tuple(dict(blocker) for blocker in blockers)
        super().__init__(
            f"{service} cannot be declared: {_sentence(self.blockers)}",
            advice=f"docstore rollout status {kind} shows what is stored, and what a rollback would bring",
        )


class NotInFleetError(FleetError):
    """A name was given that the fleet's records do not hold."""

    def __init__(self, *, what: str, name: str) -> None:
        self.what = what
        self.name = name
        super().__init__(f"there is no {what} {name}", advice="docstore fleet shows what is known")


class AbortRuleError(FleetError, ValueError):
    """The rule by which a canary is to roll itself back cannot be understood."""

    def __init__(self, *, text: str, reason: str) -> None:
        self.text = text
        self.reason = reason
        super().__init__(f"{text!r} is no rule for a canary: {reason}")


class RecordFormatError(FleetError):
    """A record of docstore's own has a format that this release does not know; it is neither read nor written."""

    def __init__(self, *, record: str, found: object, known: int) -> None:
        self.record = record
        self.found = found
        self.known = known
        super().__init__(
            f"the record {record} has format {found!r}, and this release of docstore knows format {known}",
            advice="another release of docstore works with this database; use that one, or the release next to it",
        )


def _sentence(blockers: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(str(blocker["words"]) for blocker in blockers)
