"""
Put a list's first element in its place.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from docstore.core.bson_values import RawDocument
from docstore.core.expressions import Expression, Ref, is_type, readable, set_where
from docstore.core.operation import Assign, FieldOperation, Program
from docstore.core.paths import MISSING, parse_path
from docstore.operations.arguments import assign, require_choice
from docstore.operations.place import LISTS, Place, place

if TYPE_CHECKING:
    from docstore.operations.wrap_in_list import WrapInList


@dataclass(frozen=True, slots=True, eq=False)
class UnwrapList(FieldOperation):
    """
    Put a list's first element in its place.

        UnwrapList("author")
        before  {"author": ["Ada", "Charles"]}
        after   {"author": "Ada"}

    - Missing or null, or under a missing or null parent: nothing happens.
    - A list with elements: the first takes its place, null and whatever type included. The others are dropped; with
      `extra="refuse"` a list of several is refused.
    - An empty list: the field is removed.
    - Anything else than a list, or an array or a scalar above the field: refused.

    Inverse: `WrapInList`. Exact for lists of one element that is no list itself.

    Raises:
        InvalidFieldPathError: *path* is impossible.
        InvalidOperationError: *extra* is neither "drop" nor "refuse".
    """

    path: str
    extra: Literal["drop", "refuse"] = field(default="drop", kw_only=True)
    _place: Place = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        path = parse_path(self.path)
        require_choice("UnwrapList", "extra", self.extra, ("drop", "refuse"))
        assign(self, reads=frozenset({path}), writes=frozenset({path}), _place=place("UnwrapList", path))

    def change(self, document: RawDocument) -> None:
        """
        Unwrap the list, if there is one.
        """
        values = self._place.get(document)
        if values is MISSING or values is None:
            return
        if not isinstance(values, LISTS):
            raise self._place.refuse(values, "array")
        if len(values) > 1 and self.extra == "refuse":
            raise self._place.refuse(values, "at most one element")
        if values:
            self._place.put(document, values[0])
        else:
            self._place.drop(document)

    def invert(self) -> "WrapInList":
        """
        Return the wrapping.
        """
        from docstore.operations.wrap_in_list import WrapInList  # noqa: PLC0415 - each is the inverse of the other

        return WrapInList(self.path)

    def trimming(self) -> "UnwrapList":
        """
        Return the unwrapping that drops all elements but the first.
        """
        return UnwrapList(self.path)

    def compile(self) -> Program:
        """
        Set the field to its first element.
        """
        path = self._place.path
        is_list = is_type(Ref(path), "array")
        fits: Expression = is_type(Ref(path), "array", "null", "missing")
        if self.extra == "refuse":
            size = {"$cond": [is_list, {"$size": Ref(path)}, 0]}
            fits = {"$and": [fits, {"$lte": [size, 1]}]}
        first = set_where(path, {"$arrayElemAt": [Ref(path), 0]}, is_list, removes=True)
        return Program(requires=(*readable(path), fits), actions=(Assign((first,), in_place=True),))
