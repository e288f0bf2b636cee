"""A kind's steps in order: bring a row up or down, and compile the way for the server."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson.errors import BSONError

from docstore.core.bson_values import RawDocument, copied, identical, type_name
from docstore.core.expressions import Expression, Ref, both, is_type, render
from docstore.core.paths import FieldPath
from docstore.core.program import MAX_DEPTH, conditions, depth, pipeline
from docstore.core.step import Step, StepFunction
from docstore.core.version import TAG_TYPES, tag_version
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
    number (or not there, for untagged rows), because an equality match on the tag also accepts arrays.
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

    def between(self, low: int, high: int) -> tuple[Step, ...]:
        """Return the steps that lead from *low* up to *high*."""
        return self.steps[low - self.floor : high - self.floor]

    def lift(self, row: RawDocument, version: int, to: int) -> RawDocument:
        """
        Bring a row from *version* up to *to* and tag it; returns it, possibly as another dict.

        Raises:
            UpgradeFailedError: A step refused the row, raised, or broke its contract; carries step and field path.
        """
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
                    row = self._call(step.upgrade, step, row, at)
        except OperationRefusedError as refusal:
            raise UpgradeFailedError(
                kind=self.kind,
                id=row_id,
                version=version,
                step=at,
                error=_refusal(refusal),
                path=refusal.path,
            ) from refusal
        except _BrokenContract as broken:
            raise UpgradeFailedError(
                kind=self.kind,
                id=row_id,
                version=version,
                step=at,
                error=broken.error,
                path=broken.path,
            ) from broken.__cause__
        row[self.field] = to
        return row

    def lower(self, row: RawDocument, version: int, to: int) -> RawDocument:
        """
        Bring a row from *version* down to *to* and tag it; returns it, possibly as another dict.

        Raises:
            DowngradeFailedError: A step refused the row, raised, or broke its contract; carries step and field path.
            NotInvertibleError: A step on the way has no way back; carries kind and version.
        """
        row_id = row.get("_id")
        row[self.field] = to
        at = version
        try:
            for step in reversed(self.between(to, version)):
                at = step.to or 0
                if step.operations:
                    for operation in self._inverse(step):
                        operation.change(row)
                elif step.downgrade is not None:
                    row[self.field] = at
                    row = self._call(step.downgrade, step, row, at - 1)
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
        except _BrokenContract as broken:
            raise DowngradeFailedError(
                kind=self.kind,
                id=row_id,
                version=version,
                step=at,
                error=broken.error,
                path=broken.path,
            ) from broken.__cause__
        row[self.field] = to
        return row

    def runs_functions(self, low: int, high: int) -> bool:
        """Tell whether the way between two versions holds Python functions."""
        return any(not step.operations for step in self.between(low, high))

    def writes(self, low: int, high: int) -> frozenset[FieldPath] | None:
        """Return every path that the steps between two versions may change; None stands for any path."""
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
        tag_is_readable = render(is_type(Ref((self.field,)), *types))
        condition = both([tag_is_readable, conditions(programs)])
        stages = pipeline(programs, first=[(self.field, to)])
        deepest = max(depth(condition), depth(stages))
        if deepest > MAX_DEPTH:
            raise NotCompilableError(
                operation=f"the way from {start} to {to} of {self.kind}",
                reason=f"it nests {deepest} levels deep, and servers take {MAX_DEPTH}; go there in two runs",
            )
        return CompiledChain(source=source, target=to, pipeline=stages, condition=condition)

    def _inverse(self, step: Step) -> Sequence[Any]:
        try:
            return step.inverse
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

    def _call(self, function: StepFunction, step: Step, row: RawDocument, produces: int) -> RawDocument:
        """Run a user's function and check what it gave back against the contract in `Step`."""
        before = copied(row) if step.declared_writes is not None else row
        row_id, tag = row.get("_id"), row.get(self.field)
        try:
            result = function(row)
        except Exception as error:
            raise _BrokenContract(f"it raised {type(error).__name__}") from error
        if not isinstance(result, dict):
            raise _BrokenContract(f"it returned {type_name(result)} and no dict")
        if "_id" not in result or not _same(result["_id"], row_id):
            raise _BrokenContract("it changed the _id", path="_id")
        found = result.get(self.field, tag)
        if type(found) is not int or found not in (tag, produces):
            stated = tag_version(found)
            what = type_name(found) if stated is None else str(stated)
            raise _BrokenContract(f"it set the tag to {what}, but it produces version {produces}", path=self.field)
        if step.declared_writes is not None:
            self._check_writes(step.declared_writes, before, result)
        return result

    def _check_writes(self, declared: frozenset[FieldPath], before: RawDocument, after: RawDocument) -> None:
        for key in {**before, **after}:
            # Nearly all fields are as they were: the declaration is asked about the others only.
            if key in before and key in after and _unchanged(before[key], after[key]):
                continue
            if key == self.field or (key,) in declared:
                continue
            inner = frozenset(path[1:] for path in declared if path[0] == key)
            changed = _first_change(inner, before, after, key)
            if changed is not None:
                raise _BrokenContract("it changed a path that its step does not declare in writes", path=changed)


class _BrokenContract(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, error: str, *, path: str | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.path = path


def _refusal(refusal: OperationRefusedError) -> str:
    return f"{refusal.operation} found {refusal.found}, expected {refusal.expected}"


def _unchanged(before: Any, after: Any) -> bool:
    """Tell whether a value is still what its copy holds."""
    if before is after:
        return True
    if type(before) is not type(after):
        return _same(before, after)
    if type(before) is list and len(before) == len(after):
        return all(map(operator.is_, before, after)) or all(map(_unchanged, before, after))
    if type(before) is dict and list(before) == list(after):
        return all(map(_unchanged, before.values(), after.values()))
    return _same(before, after)


def _same(before: Any, after: Any) -> bool:
    """Tell whether two values are the same BSON; a value that BSON cannot hold is not what was stored."""
    try:
        return identical(before, after)
    except (BSONError, OverflowError, TypeError, ValueError):
        return False


def _first_change(
    inner: frozenset[FieldPath], before: Mapping[str, Any], after: Mapping[str, Any], key: str
) -> str | None:
    """Return the path below *key* that differs and is not declared (*inner* holds what is, relative to it)."""
    if key not in before or key not in after:
        return None if inner else key
    old, new = before[key], after[key]
    if not inner or not (isinstance(old, dict) and isinstance(new, dict)):
        return None if _unchanged(old, new) else key
    for name in {**old, **new}:
        if (name,) in inner:
            continue
        changed = _first_change(frozenset(path[1:] for path in inner if path[0] == name), old, new, name)
        if changed is not None:
            return f"{key}.{changed}"
    return None
