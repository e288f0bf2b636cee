"""Field paths: how an operation names a place in a document, and which places touch each other."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from docstore.errors import InvalidFieldPathError

#: The segments of a dotted path; `("country", "code")` is `country.code`.
FieldPath: TypeAlias = tuple[str, ...]


class _Missing:
    """The absence of a field, which is neither null nor any other value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "MISSING"


#: Stands for "there is no such field"; a `Compute` function may return it.
MISSING: Final = _Missing()


def parse_path(path: str) -> FieldPath:
    """
    Split a dotted path into its segments.

    A path names fields of documents only: `ForEach` is the way into arrays. Segments made of digits are refused
    because a query reads them as array positions and an aggregation as field names; names that begin with a dollar
    because no update can address them; and `_id`, which no step may change.

    Raises:
        InvalidFieldPathError: The path cannot be addressed alike in Python and on the server; carries the path.
    """
    if not isinstance(path, str):
        raise InvalidFieldPathError(path=str(path), reason=f"is a {type(path).__name__} and no text")
    if not path:
        raise InvalidFieldPathError(path=path, reason="is empty")
    segments = tuple(path.split("."))
    for segment in segments:
        if not segment:
            raise InvalidFieldPathError(path=path, reason="has an empty segment")
        if segment.startswith("$"):
            raise InvalidFieldPathError(path=path, reason="has a segment that begins with '$'")
        if segment.isdigit():
            raise InvalidFieldPathError(path=path, reason="has a segment of digits only; use ForEach for arrays")
        if "\0" in segment or any("\ud800" <= character <= "\udfff" for character in segment):
            raise InvalidFieldPathError(path=path, reason="has a character that no field name can have")
    if segments[0] == "_id":
        raise InvalidFieldPathError(path=path, reason="names the _id, which no step may change")
    return segments


def dotted(path: FieldPath) -> str:
    """Join the segments of a path as users write it."""
    return ".".join(path)


def overlap(first: FieldPath, second: FieldPath) -> bool:
    """Tell whether one of two paths is the other or lies within it."""
    shorter = min(len(first), len(second))
    return first[:shorter] == second[:shorter]


def overlap_any(path: FieldPath, others: Iterable[FieldPath]) -> bool:
    """Tell whether a path overlaps one of *others*."""
    return any(overlap(path, other) for other in others)


def lookup(document: Mapping[str, Any], path: FieldPath) -> Any:
    """Return the value at a path, or `MISSING`; whatever is no document on the way holds no field."""
    value: Any = document
    for segment in path:
        if not isinstance(value, Mapping) or segment not in value:
            return MISSING
        value = value[segment]
    return value
