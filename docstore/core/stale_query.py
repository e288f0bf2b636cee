"""
How a query of the latest shape is answered while older shapes are stored: one decision, and what it needs.

The ways, the cheapest first: as stored (no step changes what the query looks at), translated (the filter is asked of
every stored shape), upgraded on the server (old rows run through the steps that matter, inside the query), upgraded in
the client (the same, where only Python can), refused.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, TypeAlias

from docstore.core.expressions import Ref, both, is_type, references, render
from docstore.core.kind import Kind
from docstore.core.newer_steps import changing, newer_versions, way_to_latest, writes_on_way
from docstore.core.operation import Assign, Program
from docstore.core.paths import FieldPath, overlap_any
from docstore.core.program import MAX_DEPTH, conditions, depth, pipeline
from docstore.core.query import EVERYTHING, QueryPaths, read_query, untouched_part
from docstore.core.step import Step
from docstore.core.translation import Translation, translate
from docstore.core.version import TAG_TYPES, tag_version
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
Compiled: TypeAlias = dict[tuple[StoredVersion, frozenset[FieldPath]], Branch]


@dataclass(frozen=True, slots=True)
class Decision:
    """
    The way that a query takes, why, the touched paths, and a branch for each stored version that matters.

    *versions* are those of the branches; of a refusal, those that stand in the way. A refusal has no branches where
    the query can be asked of no row after its upgrade.
    """

    way: Way
    reason: str
    touched: tuple[FieldPath, ...] = ()
    branches: tuple[Branch, ...] = ()
    versions: tuple[StoredVersion, ...] = field(default=())


def decide(
    kind: Kind[Any],
    query: QueryPaths,
    stored: Collection[StoredVersion],
    *,
    python_only: bool = False,
    filter: Mapping[str, Any] | None = None,
    sort: Sequence[tuple[str, Any]] = (),
    in_client: bool = False,
    compiled: Compiled | None = None,
) -> Decision:
    """
    Decide how a query is answered.

    Args:
        kind: Whose rows these are.
        query: What the query looks at, filter and sort keys.
        stored: The old versions at which rows are stored.
        python_only: The server's comparisons are not those of Python (the collection has a collation), so that no
            row may be upgraded by it.
        filter: The filter, to be translated; without it nothing is.
        sort: The sort keys: rows that stand in an older shape cannot be sorted by what that shape lacks.
        in_client: Whether the caller allows that rows are upgraded in Python for as long as it takes.
        compiled: Keeps what was compiled from call to call, for one kind and one *python_only*.
    """
    touched = query.touched(changing(kind))
    mattering = [version for version in stored if query.touched(writes_on_way(kind, start(kind, version)))]
    if not mattering:
        return Decision(Way.AS_STORED, "no step changes these paths for any row that is stored", touched)
    versions = tuple(sorted(mattering, key=lambda version: version or 0))
    reason = _impossible(query)
    if reason is not None:
        return Decision(Way.REFUSED, reason, touched, versions=versions)
    keys = read_query({}, sort)
    kept = {} if compiled is None else compiled
    branches: list[Branch] = []
    for version in versions:
        earlier = _earlier(kind, version, filter, simple=not python_only)
        sorted_by = keys.touched(writes_on_way(kind, start(kind, version)))
        if earlier.exact and not sorted_by:
            branches.append(Branch(version, None, [], None, Way.TRANSLATED, earlier.filter))
            continue
        branch = compiled_branch(kind, version, query.paths, python_only=python_only, compiled=kept)
        if branch.way is Way.UPGRADED:
            what = "the sort keys are" if earlier.exact else "the filter, or a part of it, is"
            branch = replace(branch, reason=f"{what} not in the stored shape")
        branches.append(replace(branch, narrowed=earlier.filter))
    return decision_of(branches, touched, in_client=in_client)


def compiled_branch(
    kind: Kind[Any],
    version: StoredVersion,
    paths: frozenset[FieldPath],
    *,
    python_only: bool,
    compiled: Compiled,
) -> Branch:
    """Return how the rows of a version are upgraded as far as a query on *paths* needs it; see `decide`."""
    key = (version, paths)
    if key not in compiled:
        compiled[key] = _branch(kind, version, paths, python_only=python_only)
    return compiled[key]


def decision_of(branches: Sequence[Branch], touched: tuple[FieldPath, ...], *, in_client: bool) -> Decision:
    """Return the decision that follows from what can be done for each version: the most costly way among them."""
    versions = tuple(branch.version for branch in branches)
    for way in (Way.IN_CLIENT, Way.UPGRADED):
        costly = [branch for branch in branches if branch.way is way]
        if not costly:
            continue
        if way is Way.IN_CLIENT and not in_client:
            held_up = tuple(branch.version for branch in costly)
            return Decision(Way.REFUSED, costly[0].reason, touched, tuple(branches), held_up)
        return Decision(way, costly[0].reason, touched, tuple(branches), versions)
    if not branches:
        return Decision(Way.AS_STORED, "no old rows are stored", touched)
    reason = "what the filter names can be said exactly in every stored shape"
    return Decision(Way.TRANSLATED, reason, touched, tuple(branches), versions)


def _impossible(query: QueryPaths) -> str | None:
    if query.first_only:
        return f"{', '.join(sorted(query.first_only))} cannot be asked of a row after its upgrade"
    return "the query looks at the document as a whole" if EVERYTHING in query.paths else None


def _earlier(kind: Kind[Any], version: StoredVersion, filter: Mapping[str, Any] | None, *, simple: bool) -> Translation:
    if filter is None:
        return Translation({}, exact=False)
    low = start(kind, version)
    if version is None and kind.detect is not None:
        # The row may stand anywhere from the lowest version on.
        return Translation(untouched_part(filter, kind.writes(low, kind.latest)), exact=False)
    return translate(filter, way_to_latest(kind, low), simple=simple)


def old_versions(kind: Kind[Any]) -> list[StoredVersion]:
    """
    Return every version at which a row may be stored that this code can read and that still lacks the latest tag.

    Rows without a tag are among them although they may have the latest shape.
    """
    tagged: list[StoredVersion] = list(range(kind.floor, kind.latest))
    untagged_can_be_read = kind.detect is not None or kind.floor <= kind.baseline
    return [None, *tagged] if untagged_can_be_read else tagged


def other_versions(kind: Kind[Any]) -> list[StoredVersion]:
    """Return those versions, and the ones above latest from which published steps lead down."""
    return [*old_versions(kind), *newer_versions(kind)]


def start(kind: Kind[Any], version: StoredVersion) -> int:
    """Return the version from which rows of a stored version come; the lowest possible where `detect` decides."""
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
    stands_here = _stands_at(kind, [version])
    all_of_them = {kind.version_field: version, "$expr": stands_here}
    try:
        programs = relevant(way_to_latest(kind, start(kind, version)), paths)
        # An expression that reads the document as a whole, or its tag, would see what the query adds to it.
        sees_too_much = any(path[:1] in {EVERYTHING, (kind.version_field,)} for path in _named(programs))
        if python_only or sees_too_much or (version is None and kind.detect is not None):
            return Branch(version, None, [], all_of_them)
        condition, stages = conditions(programs), pipeline(programs)
    except NotCompilableError as error:
        return Branch(version, None, [], all_of_them, Way.IN_CLIENT, reason=f"{error.operation}: {error.reason}")
    if max(depth(condition), depth(stages)) > MAX_DEPTH:
        reason = f"the way from version {start(kind, version)}: it nests deeper than servers take"
        return Branch(version, None, [], all_of_them, Way.IN_CLIENT, reason=reason)
    match = {kind.version_field: version, "$expr": both([stands_here, condition])}
    refused = {kind.version_field: version, "$expr": both([stands_here, {"$not": [condition]}])}
    return Branch(version, match, stages, None if condition is True else refused)


def _stands_at(kind: Kind[Any], versions: Sequence[StoredVersion]) -> dict[str, Any]:
    """Build the exact condition that a row stands at one of the versions, for any row whatever its tag."""
    tag = Ref((kind.version_field,))
    cases: list[Any] = []
    if numbers := [version for version in versions if version is not None]:
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
