"""
How a query of the latest shape is answered while older shapes are stored: one decision, and what it needs.

The ways, the cheapest first: as stored (no step changes what the query looks at), translated (the filter is asked of
every stored shape), upgraded on the server (old rows run through the steps that matter, inside the query), upgraded in
the client (the same, where only Python can), refused.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from docstore.core.kind import Kind
from docstore.core.newer_steps import changing, newer_versions, way_to_latest, writes_on_way
from docstore.core.paths import FieldPath
from docstore.core.query import EVERYTHING, QueryPaths, read_query, untouched_part
from docstore.core.stale_branch import Branch, Compiled, StoredVersion, Way, compiled_branch, standing_at, start
from docstore.core.stale_residue import HAS_RESIDUE, NO_RESIDUE
from docstore.core.translation import NEVER, Translation, translate
from docstore.core.version import tag_version


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
    residues: bool = False,
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
        residues: Whether rows with a residue may be stored: they are no rows of a shape that a filter can be asked in.
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
            branch = Branch(version, None, [], None, Way.TRANSLATED, earlier.filter)
        else:
            branch = compiled_branch(kind, version, query.paths, python_only=python_only, compiled=kept)
            if branch.way is Way.UPGRADED:
                what = "the sort keys are" if earlier.exact else "the filter, or a part of it, is"
                branch = replace(branch, reason=f"{what} not in the stored shape")
            branch = replace(branch, narrowed=earlier.filter)
        # What a row above latest keeps belongs to shapes above its own.
        if residues and version is not None and version <= kind.latest:
            other = compiled_branch(kind, version, query.paths, python_only=python_only, compiled=kept, residues=True)
            branches += _apart(branch, other, untouched_part(filter or {}, kind.writes(version, kind.latest)))
        else:
            branches.append(branch)
    return decision_of(branches, touched, in_client=in_client)


def _apart(without: Branch, having: Branch, untouched: Mapping[str, Any]) -> list[Branch]:
    """Return the branches for the rows without a residue and for those with: no filter says what was kept."""
    if without.narrowed != NEVER:
        without = replace(without, narrowed={"$and": [dict(without.narrowed), NO_RESIDUE]})
    reason = having.reason or "what is kept beside the stored shape is in no filter"
    return [without, replace(having, narrowed={"$and": [dict(untouched), HAS_RESIDUE]}, reason=reason)]


def decision_of(branches: Sequence[Branch], touched: tuple[FieldPath, ...], *, in_client: bool) -> Decision:
    """Return the decision that follows from what can be done for each version: the most costly way among them."""
    versions = tuple(dict.fromkeys(branch.version for branch in branches))
    for way in (Way.IN_CLIENT, Way.UPGRADED):
        costly = [branch for branch in branches if branch.way is way]
        if not costly:
            continue
        if way is Way.IN_CLIENT and not in_client:
            held_up = tuple(dict.fromkeys(branch.version for branch in costly))
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


def rows_at(kind: Kind[Any], versions: Sequence[StoredVersion]) -> dict[str, Any]:
    """Return the filter for the rows at these versions: one look into an index on the tag, and exact by types."""
    return {kind.version_field: {"$in": list(versions)}, "$expr": standing_at(kind, versions)}


def rows_elsewhere(kind: Kind[Any], versions: Sequence[StoredVersion]) -> dict[str, Any]:
    """Return the filter for all other rows: those at latest, newer ones, and those whose tag nobody can read."""
    return {"$expr": {"$not": [standing_at(kind, versions)]}}


def stands_at(kind: Kind[Any], row: Mapping[str, Any], versions: Collection[StoredVersion]) -> bool:
    """Tell what `rows_at` asks the server."""
    tag = row.get(kind.version_field)
    if tag is None:
        return None in versions
    version = tag_version(tag)
    return version is not None and version in versions
