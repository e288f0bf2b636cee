"""A kind's steps in order: bring a row up or down, and compile the way for the server."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from docstore.core.bson_values import RawDocument
from docstore.core.expressions import Expression, Ref, both, is_type, render
from docstore.core.function_steps import BrokenContractError, called
from docstore.core.operation import Operation
from docstore.core.paths import FieldPath
from docstore.core.program import MAX_DEPTH, conditions, depth, pipeline
from docstore.core.residue import RESIDUE, MalformedResidueError, above, restore, taken
from docstore.core.step import Step
from docstore.core.version import TAG_TYPES
from docstore.errors import (
    DowngradeFailedError,
    NotCompilableError,
    NotInvertibleError,
    OperationRefusedError,
    UpgradeFailedError,
)


@dataclass(frozen=True, slots=True)
class CompiledChain:
    """
    The way from one version to another as the server runs it.

    *pipeline* consists of `$set` and `$unset` stages and begins with the tag; where a field comes back that an earlier
    stage removed, a `$replaceWith` stands between them (see `compaction`). *condition* is an aggregation expression
    over the stored row: where it is true, the pipeline gives what Python gives (P10). It includes that the tag is a
    number (or not there, for untagged rows), because an equality match on the tag also accepts arrays, and on the way
    up that the row has no residue.
    """

    source: int | None
    target: int
    pipeline: list[dict[str, Any]]
    condition: Expression


class Chain:
    """
    The steps of one kind, gapless from *floor* to *latest*.

    Rows go through it as dicts whose top level the chain may change; nested values are replaced by operations and
    may be changed in place by functions. `Kind.upgrade` copies what has to be copied.
    """

    def __init__(self, *, kind: str, field: str, floor: int, steps: Sequence[Step]) -> None:
        self.kind = kind
        self.field = field
        self.floor = floor
        self.steps = tuple(steps)
        self.latest = floor + len(self.steps)
        self._compiled: dict[tuple[int | None, int, int], CompiledChain] = {}
        # Asked of every query.
        self._writes: dict[tuple[int, int], frozenset[FieldPath] | None] = {}

    def between(self, low: int, high: int) -> tuple[Step, ...]:
        """Return the steps that lead from *low* up to *high*."""
        return self.steps[low - self.floor : high - self.floor]

    def lift(self, row: RawDocument, version: int, to: int) -> RawDocument:
        """
        Bring a row from *version* up to *to* and tag it; returns it, possibly as another dict.

        After each step the row gets back what its residue keeps for it (see `residue`); entries for steps above *to*
        stay in the row.

        Raises:
            UpgradeFailedError: A step refused the row, raised, or broke its contract, or the residue is not what
                docstore writes; carries step and field path.
        """
        if RESIDUE not in row:
            return self._up(row, version, to, stored=version)
        row_id, at = row.get("_id"), version
        try:
            residue = taken(row)
            left = above(residue, to)
            for at in range(version + 1, to + 1):
                row = self._up(row, at - 1, at, stored=version)
                restore(row, residue, at)
        except MalformedResidueError as error:
            raise UpgradeFailedError(
                kind=self.kind,
                id=row_id,
                version=version,
                step=at,
                error="it does not hold what docstore writes there",
                path=RESIDUE,
            ) from error
        row[self.field] = to
        if left:
            row[RESIDUE] = left
        return row

    def _up(self, row: RawDocument, version: int, to: int, *, stored: int) -> RawDocument:
        # A function may change the row before it fails.
        row_id = row.get("_id")
        # The tag is set before anything else happens, as the server's pipeline does it.
        row[self.field] = to
        at = version
        try:
            for step in self.between(version, to):
                at = step.to or 0
                if step.operations:
                    for operation in step.operations:
                        operation.change(row)
                elif step.upgrade is not None:
                    row[self.field] = at - 1
                    row = called(step.upgrade, step, row, field=self.field, produces=at)
        except OperationRefusedError as refusal:
            raise UpgradeFailedError(
                kind=self.kind,
                id=row_id,
                version=stored,
                step=at,
                error=_refusal(refusal),
                path=refusal.path,
            ) from refusal
        except BrokenContractError as broken:
            raise UpgradeFailedError(
                kind=self.kind,
                id=row_id,
                version=stored,
                step=at,
                error=broken.error,
                path=broken.path,
            ) from broken.__cause__
        row[self.field] = to
        return row

    def lower(self, row: RawDocument, version: int, to: int, *, trimming: bool = False) -> RawDocument:
        """
        Bring a row from *version* down to *to* and tag it; returns it, possibly as another dict.

        What the older version has no place for is not there any more; `lowering` keeps it. A residue that the row has
        already stays as it is, out of sight of the steps.

        Args:
            row: The row; it is used up.
            version: Where it stands.
            to: Where it is to stand.
            trimming: Where an operation's way back would refuse a row for holding too much, take what fits.

        Raises:
            DowngradeFailedError: A step refused the row, raised, or broke its contract; carries step and field path.
            NotInvertibleError: A step on the way has no way back; carries kind and version.
        """
        row_id = row.get("_id")
        residue = row.pop(RESIDUE, None)
        row[self.field] = to
        at = version
        try:
            for step in reversed(self.between(to, version)):
                at = step.to or 0
                if step.operations:
                    for operation in self._inverse(step, trimming=trimming):
                        operation.change(row)
                elif step.downgrade is not None:
                    row[self.field] = at
                    row = called(step.downgrade, step, row, field=self.field, produces=at - 1)
                else:
                    raise self._no_way_back(step)
        except OperationRefusedError as refusal:
            raise DowngradeFailedError(
                kind=self.kind,
                id=row_id,
                version=version,
                step=at,
                error=_refusal(refusal),
                path=refusal.path,
            ) from refusal
        except BrokenContractError as broken:
            raise DowngradeFailedError(
                kind=self.kind,
                id=row_id,
                version=version,
                step=at,
                error=broken.error,
                path=broken.path,
            ) from broken.__cause__
        row[self.field] = to
        if residue is not None:
            row[RESIDUE] = residue
        return row

    def runs_functions(self, low: int, high: int) -> bool:
        """Tell whether the way between two versions holds Python functions."""
        return any(not step.operations for step in self.between(low, high))

    def writes(self, low: int, high: int) -> frozenset[FieldPath] | None:
        """Return every path that the steps between two versions may change; None stands for any path."""
        if (low, high) not in self._writes:
            self._writes[low, high] = self._paths_written(low, high)
        return self._writes[low, high]

    def _paths_written(self, low: int, high: int) -> frozenset[FieldPath] | None:
        paths: set[FieldPath] = set()
        for step in self.between(low, high):
            if step.writes is None:
                return None
            paths |= step.writes
        return frozenset(paths)

    def one_way(self, low: int, high: int) -> tuple[Step, ...]:
        """Return the steps between two versions that have no way back."""
        return tuple(step for step in self.between(low, high) if not step.has_way_back)

    def compile(self, source: int | None, to: int, *, baseline: int) -> CompiledChain:
        """
        Return the way from *source* (None: untagged, at *baseline*) to *to* as the server runs it.

        Raises:
            NotCompilableError: A step on the way is made of functions, or cannot run on the server.
            NotInvertibleError: The way leads down and a step has no way back.
        """
        key = (source, to, baseline)
        if key not in self._compiled:
            self._compiled[key] = self._compile(source, to, baseline)
        return self._compiled[key]

    def _compile(self, source: int | None, to: int, baseline: int) -> CompiledChain:
        start = baseline if source is None else source
        if to >= start:
            programs = [program for step in self.between(start, to) for program in step.programs]
        else:
            steps = reversed(self.between(to, start))
            programs = [program for step in steps for program in step.inverse_programs]
        types = ("missing", "null") if source is None else TAG_TYPES
        readable = [render(is_type(Ref((self.field,)), *types))]
        if to >= start:
            # What was kept of a newer shape comes back in Python.
            readable.append(render(is_type(Ref((RESIDUE,)), "missing")))
        condition = both([*readable, conditions(programs)])
        stages = pipeline(programs, first=[(self.field, to)])
        deepest = max(depth(condition), depth(stages))
        if deepest > MAX_DEPTH:
            raise NotCompilableError(
                operation=f"the way from {start} to {to} of {self.kind}",
                reason=f"it nests {deepest} levels deep, and servers take {MAX_DEPTH}; go there in two runs",
            )
        return CompiledChain(source=source, target=to, pipeline=stages, condition=condition)

    def _inverse(self, step: Step, *, trimming: bool) -> Sequence[Operation]:
        try:
            return step.trimming_inverse if trimming else step.inverse
        except NotInvertibleError as error:
            raise NotInvertibleError(
                operation=error.operation, reason=error.reason, kind=self.kind, version=step.to
            ) from error

    def _no_way_back(self, step: Step) -> NotInvertibleError:
        return NotInvertibleError(
            operation=f"step {step.to}",
            reason="it has no downgrade function",
            kind=self.kind,
            version=step.to,
        )


def _refusal(refusal: OperationRefusedError) -> str:
    return f"{refusal.operation} found {refusal.found}, expected {refusal.expected}"
