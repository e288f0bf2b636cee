"""Which paths a query looks at: all that its answer can depend on, read from its filter, sort and projection."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from docstore.core.chance import hangs_on_chance
from docstore.core.paths import FieldPath, dotted, overlap_any

#: Stands for the document as a whole.
EVERYTHING: Final[FieldPath] = ()

_BRANCHES: Final = frozenset({"$and", "$or", "$nor"})
#: They look at no field.
_BLIND: Final = frozenset({"$comment", "$alwaysTrue", "$alwaysFalse", "$sampleRate"})
#: An aggregation takes them in its first stage only, or not at all.
_FIRST_ONLY: Final = frozenset({"$text", "$where", "$near", "$nearSphere", "$natural", "$meta"})
_DOCUMENT_VARIABLES: Final = frozenset({"ROOT", "CURRENT"})


@dataclass(frozen=True, slots=True)
class QueryPaths:
    """
    What a query looks at.

    Array positions are left out of *paths* (`tags.0.name` is `tags.name`): that can only make two paths overlap that do
    not, never the reverse. `EVERYTHING` among them means that any field may matter (`$jsonSchema`, `$where`,
    `$$ROOT`). *first_only* names operators that cannot follow an upgrade within an aggregation.
    """

    paths: frozenset[FieldPath]
    first_only: frozenset[str]

    def touched(self, writes: frozenset[FieldPath] | None) -> tuple[FieldPath, ...]:
        """Return those paths that overlap *writes* (None: any path); `_id`, which no step changes, never does."""
        return tuple(sorted(path for path in self.paths if _is_touched(path, writes)))

    def names(self, field: str) -> bool:
        """Tell whether the query names a top-level field, or something within it."""
        return any(path[:1] == (field,) for path in self.paths)


def read_query(filter: Mapping[str, Any], sort: Sequence[tuple[str, Any]] = ()) -> QueryPaths:
    """
    Return what a filter and sort keys look at.

    What is not known is taken to look at everything: a new operator of the server makes a query slower, not wrong.
    """
    paths: set[FieldPath] = set()
    first_only: set[str] = set()
    for found in _of_filter(filter, ()):
        if isinstance(found, str):
            first_only.add(found)
        else:
            paths.add(found)
    for key, direction in sort:
        if key.startswith("$") or isinstance(direction, Mapping):
            first_only.add(key if key.startswith("$") else "$meta")
            paths.add(EVERYTHING)
        else:
            paths.add(query_path(key))
    return QueryPaths(frozenset(paths), frozenset(first_only))


def untouched_part(filter: Mapping[str, Any], writes: frozenset[FieldPath] | None) -> dict[str, Any]:
    """
    Return the part of a filter that says the same of a row before and after its upgrade.

    Whatever matches *filter* after the upgrade matches this part before it: it narrows, and leaves the rest to be
    decided. What hangs on chance is part of the rest, because it must not be asked twice.
    """
    kept: dict[str, Any] = {}
    for key, value in filter.items():
        if key == "$and" and isinstance(value, Sequence):
            parts = [untouched_part(part, writes) for part in value if isinstance(part, Mapping)]
            if parts := [part for part in parts if part]:
                kept[key] = parts
        elif key != "$comment" and not hangs_on_chance({key: value}):
            looked_at = read_query({key: value})
            if not looked_at.first_only and not looked_at.touched(writes):
                kept[key] = value
    return kept


def query_path(path: str) -> FieldPath:
    """Return a path as a query writes it, without array positions."""
    first, *rest = path.split(".")
    return (first, *(segment for segment in rest if not segment.isdigit()))


def has_position(path: str) -> bool:
    """Tell whether a path as a query writes it may hold array positions."""
    return len(query_path(path)) < len(path.split("."))


def shown(paths: Iterable[FieldPath]) -> list[str]:
    """Return paths as users write them."""
    return [dotted(path) if path else "(the whole document)" for path in paths]


def _is_touched(path: FieldPath, writes: frozenset[FieldPath] | None) -> bool:
    if path[:1] == ("_id",):
        return False
    return writes is None or overlap_any(path, writes)


def _of_filter(filter: Any, within: FieldPath) -> Iterator[FieldPath | str]:
    """Yield the paths that a filter looks at, and the operators in it that an aggregation takes first only."""
    if not isinstance(filter, Mapping):
        yield EVERYTHING
        return
    for key, value in filter.items():
        if key in _BRANCHES and isinstance(value, Sequence):
            for part in value:
                yield from _of_filter(part, within)
        elif key == "$expr":
            yield from _of_expression(value)
        elif key.startswith("$"):
            if key in _FIRST_ONLY:
                yield key
            if key not in _BLIND:
                yield EVERYTHING
        else:
            yield from _of_condition(value, (*within, *query_path(key)))


def _of_condition(condition: Any, path: FieldPath) -> Iterator[FieldPath | str]:
    """Yield what one field's condition looks at: the field, or within `$elemMatch` the fields of its elements."""
    operators = condition if isinstance(condition, Mapping) and next(iter(condition), "").startswith("$") else {}
    inner = operators.get("$elemMatch")
    if len(operators) == 1 and isinstance(inner, Mapping) and inner and not _has_operators(inner):
        yield from _of_filter(inner, path)
        return
    yield path
    for key, value in operators.items():
        if key in _FIRST_ONLY:
            yield key
        elif key == "$not" and isinstance(value, Mapping):
            yield from _of_condition(value, path)


def _has_operators(condition: Mapping[str, Any]) -> bool:
    return any(key.startswith("$") and key not in _BRANCHES for key in condition)


def _of_expression(expression: Any) -> Iterator[FieldPath]:
    """Yield the fields that an aggregation expression reads; what its variables hold is read where they are bound."""
    if isinstance(expression, str):
        yield from _of_text(expression)
    elif isinstance(expression, Mapping):
        for key, value in expression.items():
            if key == "$getField":
                yield from _of_get_field(value)
            elif key in {"$meta", "$function", "$accumulator"}:
                yield EVERYTHING
            elif key != "$literal":
                yield from _of_expression(value)
    elif isinstance(expression, list | tuple):
        for item in expression:
            yield from _of_expression(item)


def _of_text(text: str) -> Iterator[FieldPath]:
    if text.startswith("$$"):
        variable, _, rest = text[2:].partition(".")
        if variable in _DOCUMENT_VARIABLES:
            yield query_path(rest) if rest else EVERYTHING
    elif text.startswith("$"):
        yield query_path(text[1:])


def _of_get_field(argument: Any) -> Iterator[FieldPath]:
    # Without an input it reads the document; the name is a name, dots and dollars included.
    name = argument.get("field", argument) if isinstance(argument, Mapping) else argument
    if isinstance(name, Mapping) and set(name) == {"$literal"}:
        name = name["$literal"]
    if isinstance(argument, Mapping) and "input" in argument:
        yield from _of_expression(argument["input"])
        if not isinstance(name, str):
            yield from _of_expression(name)
    else:
        yield (name,) if isinstance(name, str) and not name.startswith("$") else EVERYTHING
