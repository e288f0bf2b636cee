"""
Add a field with a default.
"""

from dataclasses import dataclass, field
from typing import Any

from docstore.core.bson_values import RawDocument
from docstore.core.expressions import Literal, Ref, absent, writable
from docstore.core.operation import Assign, FieldOperation, Program
from docstore.core.origins import Defaulted, Origin
from docstore.core.paths import MISSING, FieldPath, parse_path
from docstore.operations.arguments import assign, fresh, stored_value
from docstore.operations.place import Place, place
from docstore.operations.remove_field import RemoveField


@dataclass(frozen=True, slots=True, eq=False)
class AddField(FieldOperation):
    """
    Add a field where it is missing.

        AddField("status", "new")
        before  {"title": "a"}
        after   {"title": "a", "status": "new"}

    - Missing: added with the default, and its parents with it.
    - Present: kept as it is, null and whatever type included.
    - Under a null parent: nothing happens. Under an array or a scalar: refused.

    Inverse: removes the field. Exact for rows that did not have it, but had its parents.

    Raises:
        InvalidFieldPathError: *path* is impossible.
        InvalidOperationError: *default* cannot be stored.
    """

    path: str
    default: Any
    _place: Place = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        path = parse_path(self.path)
        default = stored_value("AddField", "default", self.default)
        paths = frozenset({path})
        assign(self, reads=paths, writes=paths, default=default, _place=place("AddField", path))

    def change(self, document: RawDocument) -> None:
        """
        Add the default where there is nothing.
        """
        place = self._place
        if place.get(document) is MISSING and not place.is_under_null(document):
            place.put(document, fresh(self.default))

    def invert(self) -> RemoveField:
        """
        Return the removal, which knows the default for its own way back.
        """
        return RemoveField(self.path, default=self.default)

    def compile(self) -> Program:
        """
        Set the field to itself or to the default.
        """
        path = self._place.path
        value = {"$cond": [absent(path), Literal(self.default), Ref(path)]}
        return Program(requires=tuple(writable(path)), actions=(Assign(((path, value),), total=True),))

    def origin(self, path: FieldPath) -> Origin:
        """
        Return what was there, or the default.
        """
        added = self._place.path
        if path[: len(added)] == added:
            return Defaulted(added, self.default)
        return FieldOperation.origin(self, path)
