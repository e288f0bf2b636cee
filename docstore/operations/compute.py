"""
Compute a field from others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import bson.errors

from docstore.core.bson_values import RawDocument, decode, encode
from docstore.core.expressions import Expression, Ref, absent, is_type, references, set_where, writable
from docstore.core.operation import Assign, FieldOperation, Operation, Program
from docstore.core.paths import MISSING, parse_path
from docstore.core.user_expressions import as_value, parse_expression
from docstore.errors import InvalidOperationError, NotInvertibleError
from docstore.operations.arguments import assign, is_operation
from docstore.operations.place import Place, place
from docstore.operations.remove_field import RemoveField

#: Values of these types come out of the database as they go in, whatever they are.
_PLAIN: Final = frozenset({str, float, bool, type(None)})


@dataclass(frozen=True, slots=True, eq=False)
class Compute(FieldOperation):
    """
    Compute a field: by an aggregation expression on the server, by a function in Python, with the same answer.

        Compute("slug", {"$toLower": "$code"}, lambda row: row["code"].lower())
        before  {"code": "AT-6"}
        after   {"code": "AT-6", "slug": "at-6"}

    That both give the same answer is up to you; `docstore.testing.compare_paths` compares them on documents of yours.
    Rows on which they would not, or on which the expression raises an error, are kept from the server by *requires*.

    - Field missing: set to the result, unless that is `MISSING` (Python) or `$$REMOVE` (server). Missing parents are
      created.
    - Field present: refused; with *replace*, it is replaced where it stands, or removed where the result is missing.
    - Parent null: refused, unless the result is missing. An array or a scalar above the field: refused.
    - The function raises, or returns what cannot be stored: refused.

    Inverse: the removal of the field, or *inverse*. With *replace* and no *inverse* there is none.

    Args:
        path: The field.
        expression: For the server. `"$a.b"` reads the row; `$literal` shields data. What it reads is found in it.
        python: For Python. It gets the row, must not change it, and must depend on nothing else, nor on the tag.
        replace: Whether the field may be there.
        inverse: The operation that is the way back.
        requires: A condition, as an aggregation expression that raises no error on any row; where it is not true, the
            row is upgraded in Python.

    Raises:
        InvalidFieldPathError: *path* is impossible.
        InvalidOperationError: The expression depends on more than the row, or an argument is of the wrong type.
    """

    path: str
    expression: Any
    python: Callable[[Mapping[str, Any]], Any]
    replace: bool = field(default=False, kw_only=True)
    inverse: Operation | None = field(default=None, kw_only=True)
    requires: Any = field(default=None, kw_only=True)
    _place: Place = field(init=False, repr=False, compare=False)
    _parsed: Expression = field(init=False, repr=False, compare=False)
    _condition: list[Expression] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        path = parse_path(self.path)
        if not callable(self.python):
            raise InvalidOperationError(operation="Compute", reason="needs a function as python")
        if self.inverse is not None and not is_operation(self.inverse):
            raise InvalidOperationError(operation="Compute", reason="needs an operation as inverse")
        try:
            parsed = parse_expression(self.expression)
            condition = [] if self.requires is None else [parse_expression(self.requires)]
        except ValueError as error:
            raise InvalidOperationError(operation="Compute", reason=f"cannot use the expression: {error}") from error
        assign(self, _place=place("Compute", path), _parsed=parsed, _condition=condition)
        assign(self, reads=frozenset({path, *references(parsed)}), writes=frozenset({path}))

    def change(self, document: RawDocument) -> None:
        """
        Call the function and store what it returns.
        """
        if not self.replace:
            self._place.require_absent(document)
        try:
            result = self.python(MappingProxyType(document))
        except Exception as error:
            raise self._place.refuse(error, "a function that raises nothing") from error
        if result is not MISSING:
            self._place.put(document, result if type(result) in _PLAIN else self._stored(result))
        elif self.replace:
            self._place.drop(document)

    def _stored(self, result: Any) -> Any:
        try:
            return decode(encode({"": result}))[""]
        except (bson.errors.BSONError, OverflowError, TypeError, ValueError) as error:
            raise self._place.refuse(result, "a value that can be stored") from error

    def invert(self) -> Operation:
        """
        Return the way back.
        """
        if self.inverse is not None:
            return self.inverse
        if self.replace:
            raise NotInvertibleError(operation=f"Compute({self.path!r})", reason="it replaces; give inverse")
        return RemoveField(self.path, restore=self)

    def compile(self) -> Program:
        """
        Set the field to the expression.
        """
        path, value = self._place.path, as_value(self._parsed)
        requires = [*writable(path), *self._condition]
        if not self.replace:
            assignment = set_where(path, value)
            requires.insert(0, absent(path))
        else:
            # A missing parent would be created even where there is nothing to put into it.
            requires += [is_type(Ref(path[:-1]), "object")] if len(path) > 1 else []
            assignment = (path, value)
        return Program(tuple(requires), (Assign((assignment,)),))
