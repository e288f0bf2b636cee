"""
How a query of the latest shape is answered while older shapes are stored: one decision, and what it needs.

The ways: as stored (no step changes what the query looks at), upgraded (old rows run through the steps that matter,
inside the query), refused. A further way, such as a translation of the filter to every stored shape, is a further
`Way` that `decide` may choose.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias

from docstore.core.expressions import Ref, both, is_type, references, render
from docstore.core.kind import Kind
from docstore.core.operation import Assign, Program
from docstore.core.paths import FieldPath, overlap_any
from docstore.core.program import MAX_DEPTH, conditions, depth, pipeline
from docstore.core.query import EVERYTHING, QueryPaths
from docstore.core.step import Step
from docstore.core.version import TAG_TYPES, tag_version
from docstore.errors import NotCompilableError

#: A version that rows are stored at; None stands for rows without a tag.
StoredVersion: TypeAlias = int | None

#: Where an upgraded row carries its stored form through an aggregation. docstore's own: it never leaves the server.
STORED: Final = "__docstore_stored"

_UNTAGGED_TYPES: Final = ("missing", "null")


class Way(Enum):
    """How a query is answered."""

    #: Every row is matched in the shape in which it is stored, and the answer is the same.
    AS_STORED = "as stored"
    #: Old rows are upgraded inside the query, before they are matched.
    UPGRADED = "upgraded"
    #: Old rows would be missed or matched wrongly, and cannot be brought along.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Branch:
    """
    The rows of one old version.

    *match* finds those that the server upgrades by *stages*, to the point where the query's paths are at their latest
    shape; None where it upgrades none. *declined* finds those that Python has to upgrade; None where there are none.
    No row is in both, and together they are all rows of the version.
    """

    version: StoredVersion
    match: dict[str, Any] | None
    stages: list[dict[str, Any]]
    declined: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Decision:
    """The way that a query takes, why, the touched paths, and a branch for each stored version that matters."""

    way: Way
    reason: str
    touched: tuple[FieldPath, ...] = ()
    branches: tuple[Branch, ...] = ()
    versions: tuple[StoredVersion, ...] = field(default=())


def decide(
    kind: Kind[Any], query: QueryPaths, stored: Collection[StoredVersion], *, python_only: bool = False
) -> Decision:
    """
    Decide how a query is answered.

    Args:
        kind: Whose rows these are.
        query: What the query looks at.
        stored: The old versions at which rows are stored.
        python_only: The server's comparisons are not those of Python (the collection has a collation), so that no
            row may be upgraded by it.
    """
    touched = query.touched(kind.writes(kind.floor, kind.latest))
    mattering = [version for version in stored if query.touched(kind.writes(start(kind, version), kind.latest))]
    if not mattering:
        return Decision(Way.AS_STORED, "no step changes these paths for any row that is stored", touched)
    versions = tuple(sorted(mattering, key=lambda version: version or 0))
    if query.first_only:
        operators = ", ".join(sorted(query.first_only))
        return Decision(
            Way.REFUSED, f"{operators} cannot be asked of a row after its upgrade", touched, versions=versions
        )
    if EVERYTHING in query.paths:
        return Decision(Way.REFUSED, "the query looks at the document as a whole", touched, versions=versions)
    try:
        branches = [_branch(kind, version, query.paths, python_only=python_only) for version in versions]
    except NotCompilableError as error:
        return Decision(Way.REFUSED, f"{error.operation}: {error.reason}", touched, versions=versions)
    return Decision(Way.UPGRADED, "old rows are upgraded inside the query", touched, tuple(branches), versions)


def old_versions(kind: Kind[Any]) -> list[StoredVersion]:
    """
    Return every version at which a row may be stored that this code can read and that still lacks the latest tag.

    Rows without a tag are among them although they may have the latest shape.
    """
    tagged: list[StoredVersion] = list(range(kind.floor, kind.latest))
    untagged_can_be_read = kind.detect is not None or kind.floor <= kind.baseline
    return [None, *tagged] if untagged_can_be_read else tagged


def start(kind: Kind[Any], version: StoredVersion) -> int:
    """Return the version from which rows of a stored version go up; the lowest possible where `detect` decides."""
    if version is not None:
        return version
    return kind.baseline if kind.detect is None else kind.floor


def rows_at(kind: Kind[Any], versions: Sequence[StoredVersion]) -> dict[str, Any]:
    """Return the filter for the rows at these versions: one look into an index on the tag, and exact by types."""
    return {kind.version_field: {"$in": list(versions)}, "$expr": _stands_at(kind, versions)}


def rows_elsewhere(kind: Kind[Any], versions: Sequence[StoredVersion]) -> dict[str, Any]:
    """Return the filter for all other rows: those at latest, newer ones, and those whose tag nobody can read."""
    return {"$expr": {"$not": [_stands_at(kind, versions)]}}


def stands_at(kind: Kind[Any], row: Mapping[str, Any], versions: Collection[StoredVersion]) -> bool:
    """Tell what `rows_at` asks the server."""
    tag = row.get(kind.version_field)
    if tag is None:
        return None in versions
    version = tag_version(tag)
    return version is not None and version in versions


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


def _branch(kind: Kind[Any], version: StoredVersion, paths: frozenset[FieldPath], *, python_only: bool) -> Branch:
    programs = relevant(kind.chain.between(start(kind, version), kind.latest), paths)
    stands_here = _stands_at(kind, [version])
    # An expression that reads the document as a whole, or its tag, would see what the query adds to it.
    sees_too_much = any(path[:1] in {EVERYTHING, (kind.version_field,)} for path in _named(programs))
    if python_only or sees_too_much or (version is None and kind.detect is not None):
        return Branch(version, None, [], {kind.version_field: version, "$expr": stands_here})
    condition, stages = conditions(programs), pipeline(programs)
    if max(depth(condition), depth(stages)) > MAX_DEPTH:
        raise NotCompilableError(
            operation=f"the way from version {start(kind, version)}", reason="it nests deeper than servers take"
        )
    match = {kind.version_field: version, "$expr": both([stands_here, condition])}
    refused = {kind.version_field: version, "$expr": both([stands_here, {"$not": [condition]}])}
    return Branch(version, match, stages, None if condition is True else refused)


def _stands_at(kind: Kind[Any], versions: Sequence[StoredVersion]) -> dict[str, Any]:
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


def union_of(pipelines: Sequence[Sequence[Mapping[str, Any]]], collection: str) -> list[Mapping[str, Any]]:
    """Return one pipeline that gives what all of them give, one after another."""
    first, *others = pipelines
    return [*first, *({"$unionWith": {"coll": collection, "pipeline": list(other)}} for other in others)]


def branch_pipeline(branch: Branch, filter: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the pipeline that upgrades the rows of a branch, keeps their stored form beside, and matches."""
    return [
        {"$match": branch.match},
        {"$set": {STORED: "$$ROOT"}},
        *branch.stages,
        {"$match": dict(filter)},
    ]


def documents_pipeline(documents: Sequence[Mapping[str, Any]], filter: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """
    Return the pipeline that matches documents that are given as they are; the collection must not be empty.

    (`$documents` would not need one, but is no stage of servers before 5.1.)
    """
    return [
        {"$limit": 1},
        {"$project": {"_id": 0, "given": {"$literal": list(documents)}}},
        {"$unwind": "$given"},
        {"$replaceWith": "$given"},
        {"$match": dict(filter)},
    ]


def order_and_limits(sort: Sequence[tuple[str, Any]], skip: int, limit: int) -> list[Mapping[str, Any]]:
    """Return the stages for sort keys, and for how many rows to leave out and to return at most (0: all)."""
    stages: list[Mapping[str, Any]] = [{"$sort": dict(sort)}] if sort else []
    if skip:
        stages.append({"$skip": skip})
    if limit:
        stages.append({"$limit": abs(limit)})
    return stages


#: Matches nothing.
NO_ROW: Final[Mapping[str, Any]] = {"$expr": {"$literal": False}}

#: The last stage: the ids.
ONLY_ID: Final[Mapping[str, Any]] = {"$project": {"_id": 1}}

#: The last stage: every row as it is stored.
AS_STORED_AGAIN: Final[Mapping[str, Any]] = {"$replaceWith": {"$ifNull": [f"${STORED}", "$$ROOT"]}}
