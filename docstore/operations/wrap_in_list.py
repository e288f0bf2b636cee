"""
Make a value the only element of a list.
"""

from dataclasses import dataclass, field
from typing import Final

from docstore.core.bson_values import RawDocument
from docstore.core.expressions import Ref, is_type, present, readable, set_where
from docstore.core.operation import Assign, FieldOperation, Program
from docstore.core.origins import Origin, Wrapped
from docstore.core.path_update import RENAME, UNSET, Earlier, PathUpdate, something_at
from docstore.core.paths import MISSING, FieldPath, parse_path
from docstore.operations.arguments import assign
from docstore.operations.place import LISTS, Place, place
from docstore.operations.unwrap_list import UnwrapList

#: How an update names the only element.
_ELEMENT: Final = frozenset({"0", "$[]"})
#: Operators that make no list of what is none, unless they are given one.
_KEEPS_ELEMENT: Final = frozenset({"$set", "$inc", "$mul", "$min", "$max", "$bit", "$currentDate"})


@dataclass(frozen=True, slots=True, eq=False)
class WrapInList(FieldOperation):
    """
    Make a value the only element of a list.

        WrapInList("author")
        before  {"author": "Ada"}
        after   {"author": ["Ada"]}

    - Missing, or under a missing or null parent: nothing happens.
    - Present and no list: wrapped where it stands, null included.
    - A list: refused. Where some rows hold lists already, `ConcatLists("author", "author")` takes both.
    - An array or a scalar above the field: refused.

    Inverse: `UnwrapList(path, extra="refuse")`. Exact.

    Raises:
        InvalidFieldPathError: *path* is impossible.
    """

    path: str
    _place: Place = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        path = parse_path(self.path)
        assign(self, reads=frozenset({path}), writes=frozenset({path}), _place=place("WrapInList", path))

    def change(self, document: RawDocument) -> None:
        """
        Wrap the value, if there is one.
        """
        value = self._place.get(document)
        if isinstance(value, LISTS):
            raise self._place.refuse(value, "no array")
        if value is not MISSING:
            self._place.put(document, [value])

    def invert(self) -> UnwrapList:
        """
        Return the unwrapping, which refuses rows that have got more elements since.
        """
        return UnwrapList(self.path, extra="refuse")

    def compile(self) -> Program:
        """
        Set the field to a list of itself.
        """
        path = self._place.path
        no_list = {"$not": [is_type(Ref(path), "array")]}
        return Program(
            requires=(*readable(path), no_list),
            actions=(Assign((set_where(path, [Ref(path)], present(path)),), in_place=True),),
        )

    def origin(self, path: FieldPath) -> Origin:
        """
        Return the value for the list of it.
        """
        wrapped = self._place.path
        return Wrapped(wrapped) if path == wrapped else FieldOperation.origin(self, path)

    def earlier(self, update: PathUpdate) -> Earlier | None:
        """
        Return the update of the value for one of its list: of the whole, or of the element.
        """
        wrapped, operator, operand = self._place.path, update.operator, update.operand
        if update.path == wrapped:
            if operator == UNSET:
                return Earlier(update)
            if operator == "$set" and isinstance(operand, list) and len(operand) == 1:
                return None if isinstance(operand[0], LISTS) else Earlier(PathUpdate(operator, wrapped, operand[0]))
            return None
        within = update.path[len(wrapped) :]
        if update.path[: len(wrapped)] != wrapped:
            return FieldOperation.earlier(self, update)
        if within[0] not in _ELEMENT or operator == RENAME:
            return None
        if len(within) == 1 and (operator not in _KEEPS_ELEMENT or isinstance(operand, LISTS)):
            return None
        element = PathUpdate(operator, (*wrapped, *within[1:]), operand)
        return Earlier(element, conditions=(something_at(wrapped),))
