"""
Apply operations to every element of a list.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from docstore.core.bson_values import RawDocument
from docstore.core.expressions import Ref, is_type, readable, set_where
from docstore.core.operation import Assign, FieldOperation, Operation, Program
from docstore.core.paths import MISSING, parse_path
from docstore.core.program import conditions, transformed
from docstore.errors import InvalidOperationError, OperationRefusedError
from docstore.operations.arguments import assign, is_operation
from docstore.operations.place import LISTS, Place, fields_of, place

_ITEM: Final = "dsItem"


@dataclass(frozen=True, slots=True, init=False, eq=False)
class ForEach(FieldOperation):
    """
    Apply operations to every element of a list of documents.

        ForEach("lines", RenameField("qty", "quantity"), AddField("unit", "pcs"))
        before  {"lines": [{"qty": 2}, {"qty": 1, "unit": "kg"}]}
        after   {"lines": [{"quantity": 2, "unit": "pcs"}, {"unit": "kg", "quantity": 1}]}

    Paths within are those of an element; a `ForEach` within is the way into lists of lists' elements.

    - Missing or null, or under a missing or null parent: nothing happens. An empty list stays.
    - An element that is no document, null included: refused. So is the row, where an operation refuses an element.
    - Anything else than a list, or an array or a scalar above it: refused.

    Inverse: the inverses, in reverse order, for every element. Exact where theirs are.

    Raises:
        InvalidFieldPathError: *list_path* is impossible.
        InvalidOperationError: No operations, or something else among them.
    """

    list_path: str
    operations: tuple[Operation, ...]
    _place: Place = field(repr=False, compare=False)

    def __init__(self, list_path: str, *operations: Operation) -> None:
        path = parse_path(list_path)
        if not operations:
            raise InvalidOperationError(operation="ForEach", reason="was given no operations")
        if not all(map(is_operation, operations)):
            raise InvalidOperationError(operation="ForEach", reason="takes operations only")
        assign(self, list_path=list_path, operations=operations, _place=place("ForEach", path))
        assign(self, reads=frozenset({path}), writes=frozenset({path}))

    def __repr__(self) -> str:
        return f"ForEach({', '.join(map(repr, (self.list_path, *self.operations)))})"

    def change(self, document: RawDocument) -> None:
        """
        Change a copy of every element.
        """
        items = self._place.get(document)
        if items is MISSING or items is None:
            return
        if not isinstance(items, LISTS):
            raise self._place.refuse(items, "array")
        self._place.put(document, [self._changed(item) for item in items])

    def _changed(self, item: Any) -> RawDocument:
        fields = fields_of(item)
        if fields is None:
            raise self._place.refuse(item, "object as every element")
        changed = dict(fields)
        try:
            for operation in self.operations:
                operation.change(changed)
        except OperationRefusedError as refused:
            raise OperationRefusedError(
                operation=refused.operation,
                path=f"{self.list_path}.{refused.path}",
                found=refused.found,
                expected=refused.expected,
            ) from refused
        return changed

    def invert(self) -> "ForEach":
        """
        Return the inverses, in reverse order.
        """
        return ForEach(self.list_path, *(operation.invert() for operation in reversed(self.operations)))

    def trimming(self) -> "ForEach":
        """
        Return the same for what each element holds.
        """
        each = (one.trimming() if isinstance(one, FieldOperation) else one for one in self.operations)
        return ForEach(self.list_path, *each)

    def compile(self) -> Program:
        """
        Map the list.
        """
        path = self._place.path
        programs = [operation.compile() for operation in self.operations]
        accepted = {"$cond": [is_type(f"$${_ITEM}", "object"), conditions(programs, _ITEM), False]}
        every = {"$allElementsTrue": [{"$map": {"input": Ref(path), "as": _ITEM, "in": accepted}}]}
        fits = {"$cond": [is_type(Ref(path), "array"), every, is_type(Ref(path), "null", "missing")]}
        after = transformed([action for program in programs for action in program.actions], _ITEM)
        changed = {"$map": {"input": Ref(path), "as": _ITEM, "in": after}}
        return Program(
            requires=(*readable(path), fits),
            actions=(Assign((set_where(path, changed, is_type(Ref(path), "array")),), in_place=True),),
        )
