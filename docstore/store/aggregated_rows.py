"""
The rows of one kind that take part in an aggregation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from docstore.core.kind import Kind
from docstore.core.newer_steps import changing, writes_on_way
from docstore.core.paths import FieldPath
from docstore.core.query import EVERYTHING, QueryPaths
from docstore.core.residue import RESIDUE
from docstore.core.stale_branch import StoredVersion, start
from docstore.core.stale_query import other_versions
from docstore.core.version import tag_version
from docstore.mongo.reading import RowSource
from docstore.mongo.residue_index import ResidueIndex
from docstore.mongo.tag_filters import tagged


@dataclass(frozen=True, slots=True)
class Side:
    """
    The rows of one kind that take part: which of them (an unchanging part of what is asked), and what of them.

    *followed* and *by_position* are those of `Join`.
    """

    kind: Kind[Any]
    source: RowSource
    paths: QueryPaths
    narrowed: Mapping[str, Any] = field(default_factory=dict)
    followed: QueryPaths | None = None
    by_position: FieldPath | None = None

    @property
    def residues(self) -> ResidueIndex:
        """The index that tells whether rows have a residue."""
        return ResidueIndex(self.source.database, self.kind)

    @property
    def whole(self) -> bool:
        """Whether the tag takes part too, because documents do as a whole."""
        return EVERYTHING in self.paths.paths or self.paths.names(self.kind.version_field)

    def changes(self, path: FieldPath) -> bool:
        """Tell whether a step changes a path, or anything within it."""
        return bool(QueryPaths(frozenset({path}), frozenset()).touched(changing(self.kind)))

    @property
    def follows_old(self) -> str | None:
        """What rows are asked as they are stored, where they are followed, and cannot be; None if all of it can."""
        asked = self.followed
        if asked is None:
            return None
        if asked.first_only:
            return f"{', '.join(sorted(asked.first_only))} of a $graphLookup cannot be upgraded after it"
        if asked.touched(changing(self.kind)) or asked.names(self.kind.version_field) or asked.names(RESIDUE):
            return "$graphLookup follows rows as they are stored"
        return None

    def matters(self, version: StoredVersion) -> bool:
        """Tell whether a row that is stored at a version is not what is asked about."""
        return self.whole or bool(self.paths.touched(writes_on_way(self.kind, start(self.kind, version))))

    def readable(self) -> Mapping[str, Any]:
        """Return the filter for the rows whose version this code reads."""
        others = other_versions(self.kind)
        numbers = [version for version in (*others, self.kind.latest) if version is not None]
        return tagged(self.kind.version_field, numbers, untagged=None in others)

    def unreadable(self, tags: Sequence[Any]) -> Mapping[str, Any] | None:
        """Return the filter for the rows that this code cannot read; None where no tag that is there says so."""
        others = other_versions(self.kind)
        known = {version for version in (*others, self.kind.latest) if version is not None}
        if all(None in others if tag is None else tag_version(tag) in known for tag in tags):
            return None
        return {"$nor": [self.readable()]}

    def look_alikes(self, versions: Sequence[StoredVersion]) -> Mapping[str, Any]:
        """
        Return the filter for the rows whose tag equals one of the versions and is none.

        A look at the tags may miss them, because a server takes equal numbers of all types for one.
        """
        numbers = [version for version in versions if version is not None]
        return {self.kind.version_field: {"$in": numbers, "$type": "decimal"}}
