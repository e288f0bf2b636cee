"""
Join lists and single values into one list.
"""

from dataclasses import dataclass, field

from docstore.core.bson_values import RawDocument
from docstore.core.expressions import absent, present, readable, set_where, writable
from docstore.core.operation import Assign, FieldOperation, Program, Remove
from docstore.core.origins import Gone, Origin
from docstore.core.paths import MISSING, FieldPath, parse_path
from docstore.errors import NotInvertibleError
from docstore.operations.arguments import assign, fresh, parse_paths, require_apart
from docstore.operations.elements import first_of_equals, first_of_equals_on_server, joined, joined_on_server
from docstore.operations.place import Place, place
from docstore.operations.remove_field import RemoveField


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
        elements = joined(found)
        for dropped in self._dropped:
            dropped.drop(document)
        if self.unique:
            elements = first_of_equals(elements)
        self._into.put(document, fresh(elements) if self.keep else elements)

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
        elements = joined_on_server(paths)
        if self.unique:
            elements = first_of_equals_on_server(elements)
        requires = [*readable(*paths), *writable(into)]
        if not self._replaces:
            requires.append(absent(into))
        action = Assign((set_where(into, elements, {"$or": [present(path) for path in paths]}),))
        removed = tuple(place.path for place in self._dropped)
        return Program(tuple(requires), (action, Remove(removed)) if removed else (action,))

    def origin(self, path: FieldPath) -> Origin:
        """
        Return that nothing is left of the sources that are not kept.
        """
        gone = any(path[: len(place.path)] == place.path for place in self._dropped)
        return Gone() if gone else FieldOperation.origin(self, path)
