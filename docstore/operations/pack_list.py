"""
Gather fields into a list of fixed length.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from docstore.core.bson_values import RawDocument
from docstore.core.expressions import Ref, absent, both, present, readable, set_where, writable
from docstore.core.operation import Assign, FieldOperation, Program, Remove
from docstore.core.origins import Gone, Origin
from docstore.core.paths import MISSING, FieldPath, dotted, parse_path
from docstore.operations.arguments import assign, parse_paths, require_apart
from docstore.operations.place import Place, place
from docstore.operations.unpack_list import UnpackList


@dataclass(frozen=True, slots=True, eq=False)
class PackList(FieldOperation):
    """
    Gather fields into one list, each at its position.

        PackList(["longitude", "latitude"], into="coordinates")
        before  {"latitude": 47.07, "longitude": 15.44}
        after   {"coordinates": [15.44, 47.07]}

    - Sources all missing, or under missing or null parents: nothing happens. Some missing: refused, since positions
      would shift.
    - Source present: moved, null and whatever type included (a list becomes an element).
    - `into` present: refused. Its parent missing: created; null: refused.
    - An array or a scalar above a source or `into`: refused.

    Inverse: `UnpackList`. Exact for rows in which the parents of `into` were there.

    Raises:
        InvalidFieldPathError: A path is impossible.
        InvalidOperationError: No sources, or paths that overlap.
    """

    sources: Sequence[str]
    into: str
    _sources: tuple[Place, ...] = field(init=False, repr=False, compare=False)
    _into: Place = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        into, paths = parse_path(self.into), parse_paths("PackList", "sources", self.sources)
        require_apart("PackList", *paths, into)
        written = frozenset({*paths, into})
        assign(self, sources=tuple(self.sources), reads=written, writes=written)
        assign(self, _into=place("PackList", into), _sources=tuple(place("PackList", path) for path in paths))

    def change(self, document: RawDocument) -> None:
        """
        Move all values, or none.
        """
        values = [source.get(document) for source in self._sources]
        missing = values.count(MISSING)
        if missing:
            if missing < len(values):
                raise self._sources[values.index(MISSING)].refuse(MISSING, "a value, as its neighbours have")
            return
        self._into.require_absent(document)
        for source in self._sources:
            source.drop(document)
        self._into.put(document, values)

    def invert(self) -> UnpackList:
        """
        Return the move back to where the values were.
        """
        return UnpackList(self.into, into=tuple(dotted(source.path) for source in self._sources))

    def compile(self) -> Program:
        """
        Set the list where the sources are there, unset the sources.
        """
        into, paths = self._into.path, [place.path for place in self._sources]
        all_or_none = {"$or": [both([present(path) for path in paths]), both([absent(path) for path in paths])]}
        values = set_where(into, [Ref(path) for path in paths], present(paths[0]))
        return Program(
            requires=(*readable(*paths), *writable(into), absent(into), all_or_none),
            actions=(Assign((values,)), Remove(tuple(paths))),
        )

    def origin(self, path: FieldPath) -> Origin:
        """
        Return that nothing is left of the sources.
        """
        gone = any(path[: len(place.path)] == place.path for place in self._sources)
        return Gone() if gone else FieldOperation.origin(self, path)
