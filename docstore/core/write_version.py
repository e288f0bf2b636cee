"""
The control state of a kind: what nodes store, as a value.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from docstore.core.abort_rule import AbortRule
from docstore.core.canonical_id import bucket
from docstore.core.record_format import CONTROL
from docstore.core.rollout_state import RolloutState

Stored: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Canary:
    """
    Rows whose id falls under a percentage are stored at another version than the rest.
    """

    version: int
    #: 0 to 100.
    percent: float
    #: When it goes back by itself; None where only operators decide.
    abort_on: AbortRule | None = None
    #: The epoch at which it began; another percentage is the same canary.
    began: int = 0

    def stored(self) -> Stored:
        """
        Return the canary as a document.
        """
        rule = None if self.abort_on is None else self.abort_on.stored()
        return {"version": self.version, "percent": self.percent, "abort_on": rule, "began": self.began}

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> "Canary | None":
        """
        Return what a document says; None if there is none.
        """
        if stored is None:
            return None
        return cls(stored["version"], stored["percent"], AbortRule.of(stored["abort_on"]), stored["began"])


@dataclass(frozen=True, slots=True)
class VersionRange:
    """
    Versions from *low* to *high*, both included.
    """

    low: int
    high: int

    def holds(self, version: int) -> bool:
        """
        Tell whether a version is one of them.
        """
        return self.low <= version <= self.high

    def joined(self, other: "VersionRange") -> "VersionRange":
        """
        Return the range from the lower beginning to the higher end.
        """
        return VersionRange(min(self.low, other.low), max(self.high, other.high))


@dataclass(frozen=True, slots=True)
class Unsettled:
    """
    What nodes may still store that have not acknowledged a change.
    """

    versions: VersionRange
    #: Nodes that have acknowledged this epoch, or a later one, do not store them for that reason.
    epoch: int


@dataclass(frozen=True, slots=True)
class ControlState:
    """
    What the nodes store of one kind, and how its rollout stands.
    """

    kind: str
    #: N: what all rows are stored at that no canary is about.
    write_version: int
    #: The fleet's epoch when this state came to be; the same kind never has two states of one epoch.
    epoch: int
    state: RolloutState = RolloutState.STABLE
    canary: Canary | None = None
    #: The version to which a rollback leads; None where nothing can be rolled back, or where that is the write version.
    previous: int | None = None
    #: Whether the rollout was begun in the knowledge that there is no way back.
    irreversible: bool = False
    unsettled: Unsettled | None = None
    #: The fingerprints of the steps by which rows came to be stored, by the version that a step produces.
    steps: Mapping[str, str] = field(default_factory=dict)

    @property
    def written(self) -> VersionRange:
        """
        The versions that a node stores that knows this state.
        """
        return VersionRange(self.write_version, self.write_version if self.canary is None else self.canary.version)

    @property
    def next(self) -> int:
        """
        The version to which a rollout leads from here: N+1.
        """
        return self.write_version + 1

    def version_for(self, id: Any, *, standing: int | None = None) -> int:
        """
        Return the version at which a row is to be stored.

        Args:
            id: The row's `_id`; all spellings of an id give the same version, on every node.
            standing: Where the row stands that is written over. Only the run of a rollback lowers a row's version: it
                begins when every node knows of the rollback, and one that does not know looks for the row where it was.
        """
        version = self.write_version
        if self.canary is not None and bucket(id) < self.canary.percent:
            version = self.canary.version
        return version if standing is None else max(version, standing)

    def may_be_written(self, *, acknowledged: int | None) -> VersionRange:
        """
        Return what a node may store whose last acknowledgement was of that epoch.
        """
        late = self.unsettled is not None and (acknowledged is None or acknowledged < self.unsettled.epoch)
        return self.written.joined(self.unsettled.versions) if late and self.unsettled else self.written

    def stored(self) -> Stored:
        """
        Return the state as a document, without `_id`.
        """
        unsettled = None
        if self.unsettled is not None:
            unsettled = {**asdict(self.unsettled.versions), "epoch": self.unsettled.epoch}
        return {
            "format": CONTROL.written,
            "kind": self.kind,
            "write_version": self.write_version,
            "epoch": self.epoch,
            "state": self.state.value,
            "canary": None if self.canary is None else self.canary.stored(),
            "previous": self.previous,
            "irreversible": self.irreversible,
            "unsettled": unsettled,
            "steps": dict(self.steps),
        }

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "ControlState":
        """
        Return what a document of this format says.
        """
        unsettled = stored["unsettled"]
        return cls(
            kind=stored["kind"],
            write_version=stored["write_version"],
            epoch=stored["epoch"],
            state=RolloutState(stored["state"]),
            canary=Canary.of(stored["canary"]),
            previous=stored["previous"],
            irreversible=stored["irreversible"],
            unsettled=None
            if unsettled is None
            else Unsettled(VersionRange(unsettled["low"], unsettled["high"]), unsettled["epoch"]),
            steps=dict(stored["steps"]),
        )


@dataclass(frozen=True, slots=True)
class StoredRows:
    """
    Where the rows of a kind stand, at its ends; untagged rows stand at the baseline.
    """

    #: None where there are no rows.
    lowest: int | None = None
    highest: int | None = None
    #: Whether there are rows without a tag.
    untagged: bool = False
    #: Whether rows were found whose tag is no version; they stand nowhere. Only some look for them.
    unreadable: bool = False


def first_version(
    rows: StoredRows, *, baseline: int, latest: int, readable_by_all: int | None = None, ordered: int | None = None
) -> int:
    """
    Return the write version of a kind that has none yet.

    It is the highest version that is stored, so that whoever reads the rows now goes on reading them. Rows without a
    tag come from programs that know no other shape than the baseline. Only an empty collection begins at *latest*.

    Args:
        rows: Where the rows stand.
        baseline: The version of rows without a tag.
        latest: The latest version of the node that comes first.
        readable_by_all: The highest version that every declared reader reads; None where there is no such reader.
        ordered: The version to which an open backfill brings the rows: an operator has ordered that it be stored.
    """
    if ordered is not None:
        return max(ordered, rows.highest or 0)
    if rows.untagged:
        return baseline
    if rows.highest is not None:
        return rows.highest
    return latest if readable_by_all is None else max(min(latest, readable_by_all), baseline)
