"""
Bring the elements of a list of fixed length into fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from docstore.core.bson_values import RawDocument
from docstore.core.expressions import Ref, absent, is_type, readable, set_where, writable
from docstore.core.operation import Assign, FieldOperation, Program
from docstore.core.paths import MISSING, parse_path
from docstore.operations.arguments import assign, parse_paths, require_apart
from docstore.operations.place import LISTS, Place, place

if TYPE_CHECKING:
    from docstore.operations.pack_list import PackList


@dataclass(frozen=True, slots=True, eq=False)
class UnpackList(FieldOperation):
    """
    Bring the elements of a list into fields, by position.

        UnpackList("coordinates", into=["longitude", "latitude"])
        before  {"coordinates": [15.44, 47.07]}
        after   {"longitude": 15.44, "latitude": 47.07}

    - List missing or null, or under a missing or null parent: nothing happens.
    - List of as many elements as there are targets: moved, null and whatever type included. Any other length: refused.
    - Anything else than a list: refused.
    - Target present: refused. Its parent missing: created; null: refused.
    - An array or a scalar above the list or a target: refused.

    Inverse: `PackList`. Exact for rows in which the parents of the targets were there.

    Raises:
        InvalidFieldPathError: A path is impossible.
        InvalidOperationError: No targets, or paths that overlap.
    """

    path: str
    into: Sequence[str]
    _list: Place = field(init=False, repr=False, compare=False)
    _targets: tuple[Place, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        path, targets = parse_path(self.path), parse_paths("UnpackList", "into", self.into)
        require_apart("UnpackList", path, *targets)
        written = frozenset({path, *targets})
        assign(self, into=tuple(self.into), reads=written, writes=written)
        assign(self, _list=place("UnpackList", path), _targets=tuple(place("UnpackList", to) for to in targets))

    def change(self, document: RawDocument) -> None:
        """
        Move every element.
        """
        values = self._list.get(document)
        if values is MISSING or values is None:
            return
        if not isinstance(values, LISTS):
            raise self._list.refuse(values, "array")
        if len(values) != len(self._targets):
            raise self._list.refuse(values, f"{len(self._targets)} elements")
        for target in self._targets:
            target.require_absent(document)
        self._list.drop(document)
        for target, value in zip(self._targets, values, strict=True):
            target.put(document, value)

    def invert(self) -> "PackList":
        """
        Return the move back into the list.
        """
        from docstore.operations.pack_list import PackList  # noqa: PLC0415 - each is the inverse of the other

        return PackList(self.into, into=self.path)

    def compile(self) -> Program:
        """
        Set the targets, unset the list.
        """
        path, targets = self._list.path, [place.path for place in self._targets]
        is_list = is_type(Ref(path), "array")
        size = {"$cond": [is_list, {"$size": Ref(path)}, -1]}
        fits = {"$or": [is_type(Ref(path), "null", "missing"), {"$eq": [size, len(targets)]}]}
        moves = [
            Assign((set_where(target, {"$arrayElemAt": [Ref(path), position]}, is_list),))
            for position, target in enumerate(targets)
        ]
        # A null stays where it is, so the list is not simply unset.
        moves.append(Assign((set_where(path, "$$REMOVE", is_list, removes=True),), in_place=True))
        requires = (*readable(path), *writable(*targets), *map(absent, targets), fits)
        return Program(requires, tuple(moves))
