"""
How the rows of one old version are brought along by a query of the latest shape.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

from docstore.core.expressions import Ref, both, is_type, references, render
from docstore.core.kind import Kind
from docstore.core.newer_steps import way_to_latest
from docstore.core.operation import Assign, Program
from docstore.core.paths import FieldPath, overlap_any
from docstore.core.program import MAX_DEPTH, conditions, depth, pipeline
from docstore.core.query import EVERYTHING
from docstore.core.stale_residue import kept_fields, restoring, untouched_since
from docstore.core.step import Step
from docstore.core.version import TAG_TYPES
from docstore.errors import NotCompilableError

#: A version that rows are stored at; None stands for rows without a tag.
StoredVersion: TypeAlias = int | None

_UNTAGGED_TYPES: Final = ("missing", "null")


class Way(StrEnum):
    """How a query is answered."""

    #: Every row is matched in the shape in which it is stored, and the answer is the same.
    AS_STORED = "as stored"
    #: Rows of each version are asked the filter as it reads in their shape.
    TRANSLATED = "translated"
    #: Old rows are upgraded inside the query, before they are matched.
    UPGRADED = "upgraded on the server"
    #: Old rows are read and upgraded in Python, then matched.
    IN_CLIENT = "upgraded in the client"
    #: Old rows would be missed or matched wrongly, and cannot be brought along.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Branch:
    """
    The rows of one old version.

    Attributes:
        version: The version.
        way: How these rows are matched: `TRANSLATED`, `UPGRADED` or `IN_CLIENT`.
        match: Finds the rows that the server upgrades by *stages*; None where it upgrades none.
        stages: Bring them to the point where the query's paths are at their latest shape.
        declined: Finds the rows that Python has to upgrade; None where there are none. No row is found by both, and
            together they find all rows of the version.
        narrowed: A filter in the stored shape that every row matches which would match after its upgrade. For a
            translated branch, and only these rows.
        reason: Why the rows have to be upgraded at all.
    """

    version: StoredVersion
    match: dict[str, Any] | None
    stages: list[dict[str, Any]]
    declined: dict[str, Any] | None
    way: Way = Way.UPGRADED
    narrowed: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


#: What was compiled for a version and the paths of a query.
Compiled: TypeAlias = dict[tuple[StoredVersion, frozenset[FieldPath], bool], Branch]


def compiled_branch(
    kind: Kind[Any],
    version: StoredVersion,
    paths: frozenset[FieldPath],
    *,
    python_only: bool,
    compiled: Compiled,
    residues: bool = False,
) -> Branch:
    """
    Return how the rows of a version are upgraded as far as a query on *paths* needs it; see `decide`.

    Those without a residue, or with *residues* those that have one.
    """
    key = (version, paths, residues)
    if key not in compiled:
        compiled[key] = _branch(kind, version, paths, python_only=python_only, residues=residues)
    return compiled[key]


def start(kind: Kind[Any], version: StoredVersion) -> int:
    """Return the version from which rows of a stored version come; the lowest possible where `detect` decides."""
    if version is not None:
        return version
    return kind.baseline if kind.detect is None else kind.floor


def relevant(steps: Sequence[Step], paths: frozenset[FieldPath]) -> list[Program]:
    """
    Return the programs of those operations on which the values at *paths* depend, in order.

    An operation that changes none of the paths, and nothing that a later relevant operation reads, is left out, and
    so is a function step that declares as much: what it does cannot be told from these paths. Where that is so the
    values at *paths* come out as they do from the whole chain.

    Raises:
        NotCompilableError: The values depend on a function step, or on an operation that the server cannot run.
    """
    needed = set(paths)
    programs: list[Program] = []
    for step in reversed(steps):
        if not step.operations and (step.writes is None or _meet(needed, step.writes)):
            reason = "it is made of Python functions"
            if step.writes is None:
                reason += " that do not declare what they write"
            raise NotCompilableError(operation=f"step {step.to}", reason=reason)
        for operation in reversed(step.operations):
            if _meet(needed, operation.writes):
                program = operation.compile()
                programs.append(program)
                needed |= operation.reads | operation.writes | _named([program])
    return programs[::-1]


def _branch(
    kind: Kind[Any], version: StoredVersion, paths: frozenset[FieldPath], *, python_only: bool, residues: bool
) -> Branch:
    stands_here = standing_at(kind, [version])
    all_of_them = {kind.version_field: version, "$expr": stands_here}
    kept = kept_fields(kind, paths) if residues else []
    try:
        needed = paths.union((name,) for name in kept)
        programs = relevant(way_to_latest(kind, start(kind, version)), needed)
        # An expression that reads the document as a whole, or its tag, would see what the query adds to it.
        sees_too_much = any(path[:1] in {EVERYTHING, (kind.version_field,)} for path in _named(programs))
        if python_only or sees_too_much or (version is None and kind.detect is not None):
            return Branch(version, None, [], all_of_them)
        asked = [*programs, untouched_since(kind, kept, required=True)] if residues else programs
        condition, stages = conditions(asked), [*pipeline(programs), *restoring(kind, kept)]
    except NotCompilableError as error:
        return Branch(version, None, [], all_of_them, Way.IN_CLIENT, reason=f"{error.operation}: {error.reason}")
    if max(depth(condition), depth(stages)) > MAX_DEPTH:
        reason = f"the way from version {start(kind, version)}: it nests deeper than servers take"
        return Branch(version, None, [], all_of_them, Way.IN_CLIENT, reason=reason)
    match = {kind.version_field: version, "$expr": both([stands_here, condition])}
    refused = {kind.version_field: version, "$expr": both([stands_here, {"$not": [condition]}])}
    return Branch(version, match, stages, None if condition is True else refused)


def standing_at(kind: Kind[Any], versions: Sequence[StoredVersion]) -> dict[str, Any]:
    """Build the exact condition that a row stands at one of the versions, for any row whatever its tag."""
    tag = Ref((kind.version_field,))
    numbers = [version for version in versions if version is not None]
    cases: list[Any] = []
    if numbers:
        cases.append(both([is_type(tag, *TAG_TYPES), {"$in": [tag, numbers]}]))
    if None in versions:
        cases.append(is_type(tag, *_UNTAGGED_TYPES))
    rendered: dict[str, Any] = render({"$or": cases})
    return rendered


def _meet(first: Collection[FieldPath], second: Collection[FieldPath]) -> bool:
    return any(overlap_any(path, second) for path in first)


def _named(programs: Sequence[Program]) -> frozenset[FieldPath]:
    """Return every path that expressions of the programs read."""
    asked = {path for program in programs for condition in program.requires for path in references(condition)}
    actions = [action for program in programs for action in program.actions if isinstance(action, Assign)]
    return frozenset(asked.union(*(action.refs for action in actions)))
