"""
What came out when rows went both ways, and how two rows differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from docstore.core.bson_values import RawDocument, identical, type_name


@dataclass(frozen=True, slots=True)
class Difference:
    """
    A row that Python and the server do not agree on.

    Attributes:
        id: The row's `_id`.
        version: The version at which it was stored; None if it was untagged.
        reason: Where the two differ, by path and type; holds no values.
        before: The row as it was stored.
        python: What Python made of it; None if Python refused it.
        server: What the server made of it.
    """

    id: Any
    version: int | None
    reason: str
    before: RawDocument = field(repr=False)
    python: RawDocument | None = field(repr=False)
    server: RawDocument = field(repr=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    What came out when rows were upgraded (or downgraded) both in Python and on a server.

    Attributes:
        rows: How many rows there were.
        by_server: How many the server changed. It leaves the others to Python: the client path.
        refused: How many Python refused. They would be quarantined.
        differences: Where the two do not agree. None, if all is well.
    """

    rows: int
    by_server: int
    refused: int
    differences: tuple[Difference, ...]

    @property
    def server_share(self) -> float:
        """
        The share of rows that the server changed, from 0 to 1; 1 where there were none.
        """
        return self.by_server / self.rows if self.rows else 1.0

    def require_same(self) -> "Comparison":
        """
        Return this comparison if it holds no difference.

        Raises:
            AssertionError: There are differences; says how many, and names the first ones.
        """
        if self.differences:
            shown = "\n".join(f"  {difference!r}" for difference in self.differences[:5])
            raise AssertionError(f"{len(self.differences)} of {self.rows} rows differ:\n{shown}")
        return self


def first_difference(first: Any, second: Any, path: str = "") -> str | None:
    """
    Say where two BSON values differ first, the order of fields included, or return None.
    """
    here = path or "the row"
    first_type, second_type = type_name(first), type_name(second)
    if first_type != second_type:
        return f"{here}: {first_type} and {second_type}"
    if identical(first, second):
        return None
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        if list(first) != list(second):
            return f"{here}: {_names(first, second)}"
        pairs = [(f"{path}.{name}".lstrip("."), first[name], second[name]) for name in first]
    elif isinstance(first, Sequence) and isinstance(second, Sequence) and first_type == "array":
        if len(first) != len(second):
            return f"{here}: {len(first)} and {len(second)} elements"
        pairs = [(f"{path}[{place}]", *both) for place, both in enumerate(zip(first, second, strict=True))]
    else:
        return f"{here}: two values of type {first_type}"
    return next(found for place, one, other in pairs if (found := first_difference(one, other, place)) is not None)


def _names(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    only_first, only_second = first.keys() - second.keys(), second.keys() - first.keys()
    if not only_first and not only_second:
        return f"fields in different orders, {list(first)} and {list(second)}"
    return f"fields {sorted(only_first)} are missing" if only_first else f"fields {sorted(only_second)} are too many"
