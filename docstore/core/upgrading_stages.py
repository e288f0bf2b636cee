"""
Stages that bring old rows to the latest shape in the middle of an aggregation, and leave all others alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from docstore.core.expressions import Literal, Ref, both, is_type, render
from docstore.core.kind import Kind
from docstore.core.newer_steps import way_to_latest
from docstore.core.operation import Program
from docstore.core.paths import FieldPath
from docstore.core.program import MAX_DEPTH, conditions, depth
from docstore.core.stale_branch import StoredVersion, relevant, start
from docstore.core.stale_query import rows_at
from docstore.core.stale_residue import kept_fields, restoring, untouched_since
from docstore.core.version import TAG_TYPES
from docstore.core.view_pipeline import FROM, conditional_stages
from docstore.errors import NotCompilableError


@dataclass(frozen=True, slots=True)
class UpgradingStages:
    """
    How rows of *versions* come to the latest shape, as far as some paths depend on it, and to the latest tag.

    *stages* are `$set` and `$unset` only, so that a server moves a `$match` on other fields before them. *declined*
    finds the rows (among all) that they leave as they are, because only Python can upgrade them; None: there are none.
    *simple* says that the server compares values as Python does, *residues* that rows may keep what no filter says.
    *in_client* are those of the versions whose every row is declined because functions write what is looked at, or
    because the way is too long for a server.
    """

    versions: Sequence[StoredVersion]
    simple: bool
    stages: list[dict[str, Any]]
    declined: Mapping[str, Any] | None
    in_client: Sequence[StoredVersion] = ()
    residues: bool = False


def upgrading_stages(
    kind: Kind[Any],
    versions: Sequence[StoredVersion],
    paths: frozenset[FieldPath],
    *,
    python_only: bool = False,
    allow_client: bool = False,
    residues: bool = False,
) -> UpgradingStages:
    """
    Return the stages for rows of these versions.

    Values come out as Python gives them. So does the order of fields, but for a top-level field that comes back after
    an earlier step removed it.

    Args:
        kind: Whose rows these are.
        versions: At least one.
        paths: What of the rows will be looked at; `EVERYTHING` for whole documents.
        python_only: The server's comparisons are not those of Python (the collection has a collation of its own).
        allow_client: Decline rows that only Python functions can bring up, instead of raising.
        residues: Whether rows with a residue may be stored.

    Raises:
        NotCompilableError: The values at *paths* depend on Python functions, or on what the server cannot run.
    """
    kept = kept_fields(kind, paths) if residues else []
    needed = paths.union((name,) for name in kept)
    programs: dict[StoredVersion, list[Program]] = {}
    in_client: list[StoredVersion] = []
    for version in versions:
        try:
            programs[version] = relevant(way_to_latest(kind, start(kind, version)), needed)
        except NotCompilableError:
            if not allow_client:
                raise
            in_client.append(version)
    on_server = [version for version in programs if not python_only and (version is not None or kind.detect is None)]
    restorable = [untouched_since(kind, kept, required=False)] if residues else []
    # What a row above latest keeps belongs to shapes above its own.
    asked = {
        version: conditions([*programs[version], *(restorable if start(kind, version) <= kind.latest else [])])
        for version in on_server
    }
    stages = [
        {"$set": {FROM: _origin(kind, asked)}},
        {"$set": {kind.version_field: _tag(kind)}},
        *conditional_stages(_ways(kind, {version: programs[version] for version in on_server})),
        *(restoring(kind, kept, when={"$ne": [f"${FROM}", None]}) if residues else []),
        {"$unset": [FROM]},
    ]
    if depth(stages) > MAX_DEPTH:
        if not allow_client:
            raise NotCompilableError(
                operation=f"the way to version {kind.latest}", reason="it nests deeper than servers take"
            )
        in_client, on_server, asked = list(versions), [], {}
    declined = [
        {"$and": [rows_at(kind, [version]), {"$expr": {"$not": [asked[version]]}}]}
        if version in asked
        else rows_at(kind, [version])
        for version in versions
        if asked.get(version) is not True
    ]
    return UpgradingStages(
        versions=tuple(versions),
        simple=not python_only,
        stages=stages if on_server else [],
        declined={"$or": declined} if declined else None,
        in_client=tuple(in_client),
        residues=residues,
    )


def _ways(kind: Kind[Any], programs: Mapping[StoredVersion, Sequence[Program]]) -> list[tuple[Program, list[int]]]:
    """Return each program with the versions from which rows take it."""
    starts = {start(kind, version): own for version, own in programs.items()}
    below = {version: own for version, own in starts.items() if version <= kind.latest}
    above = {version: own for version, own in starts.items() if version > kind.latest}
    return [*_one_way(below), *_one_way(above)]


def _one_way(programs: Mapping[int, Sequence[Program]]) -> list[tuple[Program, list[int]]]:
    """Return the same for rows that all come from one side; from further away, they take more at first."""
    longest = max(programs.values(), key=len, default=())
    return [
        (program, sorted(version for version, own in programs.items() if len(own) >= len(longest) - place))
        for place, program in enumerate(longest)
    ]


def _origin(kind: Kind[Any], asked: Mapping[StoredVersion, Any]) -> dict[str, Any]:
    """Build the version that a row comes from, or null where it is left as it is."""
    tag = Ref((kind.version_field,))
    branches = [
        {
            "case": both(
                [
                    render(is_type(tag, "missing", "null") if version is None else is_type(tag, *TAG_TYPES)),
                    *([] if version is None else [render({"$eq": [tag, version]})]),
                    condition,
                ]
            ),
            "then": start(kind, version),
        }
        for version, condition in asked.items()
    ]
    return {"$switch": {"branches": branches, "default": None}} if branches else {"$literal": None}


def _tag(kind: Kind[Any]) -> dict[str, Any]:
    tag: dict[str, Any] = render(
        {"$cond": [{"$eq": [Ref((FROM,)), None]}, Ref((kind.version_field,)), Literal(kind.latest)]}
    )
    return tag
