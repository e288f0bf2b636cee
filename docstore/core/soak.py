"""
What a count proves about the versions below which no row stands.
"""

from collections.abc import Iterable
from typing import Any

from docstore.core.coverage import Coverage
from docstore.core.kind import Kind


def lowest_standing(kind: Kind[Any], coverage: Coverage) -> int | None:
    """
    Return the lowest version at which a row stands, or may stand; None where no row was counted.

    It is 0 for rows whose tag is no version, and for untagged ones whose version only `detect` could tell.
    """
    found = [count.version for count in coverage.versions if count.rows]
    if coverage.untagged:
        found.append(kind.baseline if kind.detect is None else 0)
    if coverage.unreadable:
        found.append(0)
    return min(found, default=None)


def retirable_versions(kind: Kind[Any], *, up_to: int | None = None) -> Iterable[int]:
    """
    Return the versions below which a kind may be retired one day: those above its floor.

    Args:
        kind: Which one.
        up_to: Only those that are not higher.
    """
    highest = kind.latest if up_to is None else min(up_to, kind.latest)
    return range(kind.floor + 1, highest + 1)
