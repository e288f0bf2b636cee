"""
Which rows a run is about, how many of them there are, and whether a run may begin at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from docstore.core.coverage import Coverage, VersionCount, rows_below
from docstore.core.direction import Direction
from docstore.core.kind import Kind
from docstore.errors import BackfillRefusedError, VersionRangeError


@dataclass(frozen=True, slots=True)
class RunScope:
    """
    The rows on one side of a run's target, or those without a tag.

    Rows above latest are in no scope: the code that knows their version takes care of them (P4).
    """

    kind: Kind[Any]
    target: int
    direction: Direction

    def sources(self, coverage: Coverage) -> list[int | None]:
        """
        Return the versions at which rows stand that the run is about; None stands for rows without a tag.
        """
        found: list[int | None] = [count.version for count in self._counts(coverage)]
        return [*found, None] if coverage.untagged and self._takes_untagged else found

    def rows(self, coverage: Coverage) -> int:
        """
        Return how many rows the run has to care for.

        Rows whose tag cannot be read count, and so do untagged rows whose version only `detect` could tell.
        """
        if self.direction is Direction.ADOPT:
            return coverage.untagged
        if self.direction is Direction.UP:
            return rows_below(self.kind, coverage, self.target)
        untagged = coverage.untagged if self._takes_untagged else 0
        return sum(count.rows for count in self._counts(coverage)) + untagged + coverage.unreadable

    def unreadable(self, coverage: Coverage) -> int:
        """
        Return how many rows have a tag that is no version, if the run cares for them.
        """
        return 0 if self.direction is Direction.ADOPT else coverage.unreadable

    def newer(self, coverage: Coverage, untagged: int = 0) -> int:
        """
        Return how many rows a way down leaves where they are, because they stand above latest.

        Args:
            coverage: Where rows stand.
            untagged: How many rows without a tag stand there, as `detect` sees it.
        """
        return coverage.newer + untagged if self.direction is Direction.DOWN else 0

    def about_newer(self, newer: int) -> str:
        """
        Say that so many newer rows are left where they are; empty if there is none.
        """
        if not newer:
            return ""
        which = "1 row that stands" if newer == 1 else f"{newer:,} rows that stand"
        return f"all rows are there but {which} above version {self.kind.latest}, which this code does not know"

    def whereabouts(self, coverage: Coverage) -> str:
        """
        Say how many of the rows stand at which version.
        """
        parts = [f"{count.rows:,} at version {count.version}" for count in self._counts(coverage)]
        if coverage.untagged and self._takes_untagged:
            parts.append(f"{coverage.untagged:,} without a tag")
        if self.unreadable(coverage):
            parts.append(f"{coverage.unreadable:,} with a tag that is no version")
        return ", ".join(parts)

    def failed_here(self, version: int | None, target: int, direction: Direction) -> bool:
        """
        Tell whether a row that failed at *version* on its way to *target* is one of these rows.

        Args:
            version: Where it stands; None where nobody knows.
            target: Where it was to go.
            direction: By which kind of run.
        """
        if self.direction is Direction.ADOPT:
            # Other runs also fail on tags that are no version, and the rows at hand have no tag.
            return direction is Direction.ADOPT
        if version is None:
            return True
        if self.direction is Direction.UP:
            return version < self.target and version < target
        return self.direction is Direction.DOWN and version > self.target and version > target

    def refuse_one_way(self, coverage: Coverage) -> None:
        """
        Refuse a way down that rows cannot go, because a step on it has no way back.

        Raises:
            BackfillRefusedError: Names the steps.
        """
        if self.direction is not Direction.DOWN:
            return
        highest = max((count.version for count in self._counts(coverage)), default=self.target)
        if coverage.untagged and self._takes_untagged:
            highest = self.kind.latest
        steps = [str(step.to) for step in self.kind.chain.one_way(self.target, highest)]
        if steps:
            have = "step {} has" if len(steps) == 1 else "steps {} have"
            raise BackfillRefusedError(
                kind=self.kind.name,
                reason=f"rows would go down from version {highest} to {self.target}, and "
                f"{have.format(', '.join(steps))} no way back",
                advice="give the step a downgrade function, or its operations what they need to be undone",
            )

    @property
    def _takes_untagged(self) -> bool:
        # Without `detect` they stand at the baseline, which no way down begins at.
        return self.direction is not Direction.DOWN or self.kind.detect is not None

    def _counts(self, coverage: Coverage) -> Iterator[VersionCount]:
        if self.direction is Direction.UP:
            return (count for count in coverage.versions if count.version < self.target)
        if self.direction is Direction.DOWN:
            return (count for count in coverage.versions if self.target < count.version <= self.kind.latest)
        return iter(())


def refuse_version(kind: Kind[Any], target: int) -> None:
    """
    Refuse a target that the kind does not have.

    Raises:
        VersionRangeError: It lies outside floor to latest.
    """
    if not kind.floor <= target <= kind.latest:
        raise VersionRangeError(kind=kind.name, asked=target, floor=kind.floor, latest=kind.latest)


def side_of_rows(kind: Kind[Any], coverage: Coverage, target: int) -> Direction | None:
    """
    Return the direction in which rows are to go to *target*: None if they stand on both sides, or on neither.
    """
    below, above = _sides(kind, coverage, target)
    if bool(below) is bool(above):
        return None
    return Direction.UP if below else Direction.DOWN


def direction_of(kind: Kind[Any], coverage: Coverage, target: int, asked: Direction | None) -> Direction:
    """
    Return the direction of a run to *target*: what was asked for, or where the rows stand; up if none is left.

    Raises:
        VersionRangeError: It is no version of the kind.
        BackfillRefusedError: Rows stand on both sides and nothing was asked for; or every row stands above latest; or
            the way leads down over a step that has no way back.
    """
    refuse_version(kind, target)
    if asked is Direction.ADOPT:
        return asked
    below, above = _sides(kind, coverage, target)
    if coverage.total and coverage.newer == coverage.total:
        raise BackfillRefusedError(
            kind=kind.name,
            reason=f"every row stands above version {kind.latest}, the highest that this code knows",
            advice=f"docstore coverage {kind.name} shows where they stand",
        )
    if asked is None and below and above:
        raise BackfillRefusedError(
            kind=kind.name,
            reason=f"{_rows(below)} below version {target} and {_rows(above)} above it",
            advice="say which of them are to move: --direction up or --direction down",
        )
    direction = asked or side_of_rows(kind, coverage, target) or Direction.UP
    RunScope(kind, target, direction).refuse_one_way(coverage)
    return direction


def _sides(kind: Kind[Any], coverage: Coverage, target: int) -> tuple[int, int]:
    """
    Return how many rows are known to stand below and above a version; newer ones stand on neither side.
    """
    below = sum(count.rows for count in coverage.versions if count.version < target)
    above = sum(count.rows for count in coverage.versions if target < count.version <= kind.latest)
    if kind.detect is None and kind.baseline < target:
        below += coverage.untagged
    return below, above


def _rows(number: int) -> str:
    return "1 row stands" if number == 1 else f"{number:,} rows stand"
