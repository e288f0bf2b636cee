"""
Join lists and single values into one list.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from docstore.core.bson_values import RawDocument, comparison_key
from docstore.core.expressions import (
    Expression,
    Literal,
    Ref,
    absent,
    is_type,
    present,
    readable,
    set_where,
    writable,
)
from docstore.core.operation import Assign, FieldOperation, Program, Remove
from docstore.core.paths import MISSING, FieldPath, parse_path
from docstore.errors import NotInvertibleError
from docstore.operations.arguments import assign, fresh, parse_paths, require_apart
from docstore.operations.place import LISTS, Place, place
from docstore.operations.remove_field import RemoveField

#: Lists of nothing but texts are common, and quick to join.
_TEXTS: Final = frozenset({str})


@dataclass(frozen=True, slots=True, init=False, eq=False)
class ConcatLists(FieldOperation):
    """
    Join lists, and single values as lists of one, into one list.

        ConcatLists("names", "name", "alternatenames", unique=True, keep=True)
        before  {"name": "Wien", "alternatenames": ["Vienna", "Wien"]}
        after   {"name": "Wien", "alternatenames": ["Vienna", "Wien"], "names": ["Wien", "Vienna"]}

    - Source missing, null, or under a missing or null parent: adds nothing. Where all are missing, nothing happens.
    - Source a list: its elements, in order. Anything else, a document too: one element.
    - `into` present: refused, unless it is one of the sources, and then it is replaced where it stands.
    - `into`'s parent missing: created; null: refused. An array or a scalar above a source or `into`: refused.

    Inverse: with *keep*, the removal of `into`. Without, none: nothing tells where a source ended.

    Args:
        into: The list to make.
        sources: What it is made of, in this order.
        unique: Of elements that the server calls equal (1 and 1.0 are), keep the first.
        keep: Leave the sources in the row. Without it they are removed.

    Raises:
        InvalidFieldPathError: A path is impossible.
        InvalidOperationError: No sources, or paths that overlap.
    """

    into: str
    sources: tuple[str, ...]
    unique: bool
    keep: bool
    _into: Place = field(repr=False, compare=False)
    _sources: tuple[Place, ...] = field(repr=False, compare=False)
    _dropped: tuple[Place, ...] = field(repr=False, compare=False)
    _replaces: bool = field(repr=False, compare=False)

    def __init__(self, into: str, *sources: str, unique: bool = False, keep: bool = False) -> None:
        target, paths = parse_path(into), parse_paths("ConcatLists", "sources", sources)
        require_apart("ConcatLists", *paths, *(() if target in paths else (target,)))
        places = tuple(place("ConcatLists", path) for path in paths)
        dropped = () if keep else tuple(place for place in places if place.path != target)
        assign(self, into=into, sources=sources, unique=unique, keep=keep)
        assign(self, _into=place("ConcatLists", target), _sources=places, _dropped=dropped, _replaces=target in paths)
        written = frozenset({target, *(place.path for place in dropped)})
        assign(self, reads=frozenset({target, *paths}), writes=written)

    def __repr__(self) -> str:
        paths = ", ".join(map(repr, (self.into, *self.sources)))
        return f"ConcatLists({paths}, unique={self.unique}, keep={self.keep})"

    def change(self, document: RawDocument) -> None:
        """
        Join what is there.
        """
        found = [value for place in self._sources if (value := place.get(document)) is not MISSING]
        if not found:
            return
        if not self._replaces:
            self._into.require_absent(document)
        joined: list[Any] = []
        for value in found:
            if isinstance(value, LISTS):
                joined.extend(value)
            elif value is not None:
                joined.append(value)
        for dropped in self._dropped:
            dropped.drop(document)
        if set(map(type, joined)) <= _TEXTS:
            self._into.put(document, list(dict.fromkeys(joined)) if self.unique else joined)
            return
        elements = _first_of_equals(joined) if self.unique else joined
        self._into.put(document, [fresh(element) for element in elements] if self.keep else elements)

    def invert(self) -> RemoveField:
        """
        Return the removal of the list, where the sources are kept.
        """
        if not self.keep or self._replaces:
            raise NotInvertibleError(
                operation=f"ConcatLists({self.into!r})", reason="the sources are gone; give keep=True, or use Compute"
            )
        return RemoveField(self.into, restore=self)

    def compile(self) -> Program:
        """
        Set the list where there is a source, unset the sources.
        """
        into, paths = self._into.path, [place.path for place in self._sources]
        joined: Expression = {"$concatArrays": [_as_list(path) for path in paths]}
        if self.unique:
            joined = _unique_elements(joined)
        requires = [*readable(*paths), *writable(into)]
        if not self._replaces:
            requires.append(absent(into))
        action = Assign((set_where(into, joined, {"$or": [present(path) for path in paths]}),))
        removed = tuple(place.path for place in self._dropped)
        return Program(tuple(requires), (action, Remove(removed)) if removed else (action,))


def _first_of_equals(values: Sequence[Any]) -> list[Any]:
    kept: dict[Hashable, Any] = {}
    for value in values:
        kept.setdefault(comparison_key(value), value)
    return list(kept.values())


def _as_list(path: FieldPath) -> Expression:
    single = {"$cond": [is_type(Ref(path), "missing", "null"), Literal([]), [Ref(path)]]}
    return {"$cond": [{"$isArray": [Ref(path)]}, Ref(path), single]}


def _unique_elements(elements: Expression) -> Expression:
    seen = {"$in": ["$$this", "$$value"]}
    grown = {"$concatArrays": ["$$value", ["$$this"]]}
    return {"$reduce": {"input": elements, "initialValue": Literal([]), "in": {"$cond": [seen, "$$value", grown]}}}
