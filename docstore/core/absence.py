"""
Which versions no row can stand at, without a look at the rows: because the server refuses such rows, and none was left.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from docstore.core.fence import FenceBounds
from docstore.core.fence_level import FenceLevel
from docstore.core.floor_state import FloorState
from docstore.core.kind import Kind
from docstore.core.stale_branch import StoredVersion


@dataclass(frozen=True, slots=True)
class FenceSeen:
    """
    A collection's fence, as it was read.
    """

    #: Of the collection; None where there was none.
    home: UUID | None
    #: What it lets in; None where there is no fence as docstore puts it up.
    bounds: FenceBounds | None
    #: Whether rows outside it are refused, whatever they were before.
    strict: bool


@dataclass(frozen=True, slots=True)
class Absence:
    """
    The versions at which no row stands: those below *low*, those above *high*, and rows whose tag is no version.

    Both are None where nothing forbids any version to appear, so that a look has to tell. *reason* says why it is so.
    """

    reason: str
    low: int | None = None
    high: int | None = None

    def among(self, versions: Iterable[StoredVersion]) -> list[StoredVersion]:
        """Return those of the versions at which rows may stand; None stands for rows without a tag."""
        if self.low is None or self.high is None:
            return list(versions)
        return [version for version in versions if version is not None and self.low <= version <= self.high]

    def is_of_all_but(self, version: int) -> bool:
        """Tell whether every row stands at this version."""
        return self.low == self.high == version


#: Where there is no fleet whose heartbeats watch a fence.
UNWATCHED: Final = Absence("nobody watches a fence: the process is no node of a fleet")


def wants_watching(kind: Kind[Any], floor: FloorState | None) -> bool:
    """Tell whether it is worth while to read a kind's fence again and again: it could spare queries a look."""
    return bool(kind.steps) and _unfit(kind, floor) is None


def absence(
    kind: Kind[Any],
    floor: FloorState | None,
    seen: FenceSeen | None,
    *,
    age: float,
    trusted: float,
    looked: bool,
) -> Absence:
    """
    Decide which versions are absent for as long as a fence stands; the first reason against it counts.

    | what is known | what follows |
    |---|---|
    | no floor is recorded, or none that was proved under a fence | a look |
    | a retirement is under way, or no fence is recorded, or a moderate one | a look |
    | the fence was not read yet, or too long ago | a look |
    | the collection is another one than the recorded one | a look |
    | the server's fence is gone, or not strict, or not the recorded one | a look |
    | nobody has looked for rows outside since the fence was first seen so | a look |
    | none of these | nothing stands below the floor, or above what the fence lets in |

    Args:
        kind: Whose rows these are.
        floor: What the control records say of the kind's floor.
        seen: The fence as it was read last; None if that was never.
        age: Seconds since what is known was asked for, the control records and the fence.
        trusted: For how many seconds that is believed.
        looked: Whether, since the fence is seen so, somebody found that no row stands outside of it.
    """
    against = _unfit(kind, floor) or _against(kind, floor, seen, age, trusted, looked=looked)
    if against is not None or floor is None or floor.fence is None or floor.floor is None or floor.proof is None:
        return Absence(against or "no floor is recorded")
    since = f"{floor.proof.at:%Y-%m-%d %H:%M:%S}"
    return Absence(
        f"old versions are absent: fenced since {since}", min(floor.floor, floor.fence.low), floor.fence.high
    )


def _unfit(kind: Kind[Any], floor: FloorState | None) -> str | None:
    """Return why what is recorded is no reason to trust a fence."""
    if floor is None or floor.floor is None:
        return "no floor is recorded"
    if not floor.proved:
        return "the floor was recorded without a fence that proves it"
    if floor.retiring is not None:
        return "a retirement is under way"
    if floor.fence is None:
        return "no fence is recorded"
    if floor.fence.level != FenceLevel.STRICT:
        return "the fence is a moderate one"
    if min(floor.floor, floor.fence.low) <= kind.floor and floor.fence.high >= kind.latest:
        return "the fence lets in every version that this code reads"
    return None


def _against(
    kind: Kind[Any], floor: FloorState | None, seen: FenceSeen | None, age: float, trusted: float, *, looked: bool
) -> str | None:
    """Return why the fence is not believed to stand."""
    fence = None if floor is None else floor.fence
    if floor is None or fence is None or seen is None:
        return "the fence was not read yet"
    if age >= trusted:
        return f"the fence was read {age:.0f} s ago, and that is believed for {trusted:.0f} s"
    if seen.home is None or seen.home != floor.home:
        return "the collection is not the one that was fenced"
    wanted = FenceBounds(kind.name, kind.version_field, fence.low, fence.high)
    if seen.bounds != wanted or not seen.strict:
        return "the fence is not in place"
    return None if looked else "nobody has looked yet for rows outside the fence"
