"""
Remove a field.
"""

from dataclasses import dataclass, field
from typing import Any

from docstore.core.bson_values import RawDocument
from docstore.core.expressions import readable
from docstore.core.operation import FieldOperation, Operation, Program, Remove
from docstore.core.origins import Gone, Origin
from docstore.core.paths import MISSING, FieldPath, parse_path
from docstore.errors import InvalidOperationError, NotInvertibleError
from docstore.operations.arguments import assign, is_operation, stored_value
from docstore.operations.place import Place, place


@dataclass(frozen=True, slots=True, eq=False)
class RemoveField(FieldOperation):
    """
    Remove a field, whatever it holds.

        RemoveField("draft", default=False)
        before  {"title": "a", "draft": false}
        after   {"title": "a"}

    - Missing, or under a missing or null parent: nothing happens.
    - Present: removed, null and whatever type included. The parent stays, empty or not.
    - Under an array or a scalar: refused.

    Inverse: adds the default, or does what *restore* says. Exact for rows that held just that. Without either there is
    no way back.

    Args:
        path: The field.
        default: What the way back puts there.
        restore: The operation that is the way back, for instance a `Compute` that rebuilds the field from others.

    Raises:
        InvalidFieldPathError: *path* is impossible.
        InvalidOperationError: *default* cannot be stored, or is given together with *restore*, or *restore* is no
            operation that writes the field.
    """

    path: str
    default: Any = MISSING
    restore: Operation | None = field(default=None, kw_only=True)
    _place: Place = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        path = parse_path(self.path)
        if self.default is not MISSING:
            assign(self, default=stored_value("RemoveField", "default", self.default))
        if self.restore is not None:
            self._check_restore(self.restore)
        paths = frozenset({path})
        assign(self, reads=paths, writes=paths, _place=place("RemoveField", path))

    def _check_restore(self, restore: Operation) -> None:
        if self.default is not MISSING:
            raise InvalidOperationError(operation="RemoveField", reason="takes default or restore, not both")
        if not is_operation(restore) or restore.writes != {parse_path(self.path)}:
            raise InvalidOperationError(
                operation="RemoveField", reason=f"needs an operation that writes {self.path!r} alone as restore"
            )

    def change(self, document: RawDocument) -> None:
        """
        Remove the field, if it is there.
        """
        self._place.drop(document)

    def invert(self) -> Operation:
        """
        Return the operation that puts the field back.
        """
        from docstore.operations.add_field import AddField  # noqa: PLC0415 - each is the inverse of the other

        if self.restore is not None:
            return self.restore
        if self.default is MISSING:
            raise NotInvertibleError(
                operation=f"RemoveField({self.path!r})", reason="nothing says what was there; give default or restore"
            )
        return AddField(self.path, self.default)

    def compile(self) -> Program:
        """
        Unset the field.
        """
        path = self._place.path
        return Program(requires=tuple(readable(path)), actions=(Remove((path,)),))

    def origin(self, path: FieldPath) -> Origin:
        """
        Return that nothing is left at the path.
        """
        removed = self._place.path
        return Gone() if path[: len(removed)] == removed else FieldOperation.origin(self, path)
