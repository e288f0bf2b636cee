"""
Where an operation reads and writes: one rule for missing, null and impossible parents.

A path goes through documents only. Under a missing or a null parent, reads find nothing. Writes create missing parents,
and refuse a null one. A parent that is an array or a scalar is refused by both.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from bson.dbref import DBRef

from docstore.core.bson_values import RawDocument, type_name
from docstore.core.paths import MISSING, FieldPath, dotted
from docstore.errors import OperationRefusedError

#: What is an array to the server. Drivers give lists; tuples come from people.
LISTS: Final = (list, tuple)


class TopField:
    """
    A field of the document itself.
    """

    __slots__ = ("name", "operation", "path")

    def __init__(self, operation: str, path: FieldPath) -> None:
        self.operation = operation
        self.path = path
        self.name = path[0]

    def get(self, document: RawDocument) -> Any:
        """
        Return the value, or `MISSING`.
        """
        return document.get(self.name, MISSING)

    def put(self, document: RawDocument, value: Any) -> None:
        """
        Set the value: in its place if the field is there, else at the end.
        """
        document[self.name] = value

    def drop(self, document: RawDocument) -> None:
        """
        Remove the field, if it is there.
        """
        document.pop(self.name, None)

    def is_under_null(self, document: RawDocument) -> bool:
        """
        Tell whether a null stands where a document would have to be for the field to exist.
        """
        del document
        return False

    def require_absent(self, document: RawDocument) -> None:
        """
        Refuse the row if the field is there, null included.
        """
        if self.name in document:
            raise refusal(self.operation, self.path, document[self.name], "missing")

    def refuse(self, found: Any, expected: str) -> OperationRefusedError:
        """
        Return the error that refuses what was found here.
        """
        return refusal(self.operation, self.path, found, expected)


class NestedField:
    """
    A field of a document within the document. Whatever lies on the way is copied before it is changed.
    """

    __slots__ = ("last", "operation", "parents", "path")

    def __init__(self, operation: str, path: FieldPath) -> None:
        self.operation = operation
        self.path = path
        self.parents = path[:-1]
        self.last = path[-1]

    def get(self, document: RawDocument) -> Any:
        """
        Return the value, or `MISSING`; refuses an array or a scalar on the way.
        """
        holder = self._holder(document)
        return MISSING if holder is None else holder.get(self.last, MISSING)

    def put(self, document: RawDocument, value: Any) -> None:
        """
        Set the value, and create parents that are missing; refuses any parent that is no document.
        """
        holder = document
        for depth, name in enumerate(self.parents, start=1):
            child = holder.get(name, MISSING)
            fields = {} if child is MISSING else fields_of(child)
            if fields is None:
                raise refusal(self.operation, self.path[:depth], child, "object")
            copied = dict(fields)
            holder[name] = copied
            holder = copied
        holder[self.last] = value

    def drop(self, document: RawDocument) -> None:
        """
        Remove the field, if it is there; its parents stay, empty or not.
        """
        if self.get(document) is MISSING:
            return
        holder = document
        for name in self.parents:
            copied = dict(fields_of(holder[name]) or {})
            holder[name] = copied
            holder = copied
        del holder[self.last]

    def is_under_null(self, document: RawDocument) -> bool:
        """
        Tell whether a null stands where a document would have to be for the field to exist.
        """
        holder: Mapping[str, Any] = document
        for name in self.parents:
            child = holder.get(name, MISSING)
            if child is None:
                return True
            holder = fields_of(child) or {}
        return False

    def require_absent(self, document: RawDocument) -> None:
        """
        Refuse the row if the field is there, null included.
        """
        found = self.get(document)
        if found is not MISSING:
            raise refusal(self.operation, self.path, found, "missing")

    def refuse(self, found: Any, expected: str) -> OperationRefusedError:
        """
        Return the error that refuses what was found here.
        """
        return refusal(self.operation, self.path, found, expected)

    def _holder(self, document: RawDocument) -> Mapping[str, Any] | None:
        """
        Return the innermost parent, or None where it, or one further out, is missing or null.
        """
        holder: Mapping[str, Any] = document
        for depth, name in enumerate(self.parents, start=1):
            child = holder.get(name)
            if child is None:
                return None
            fields = fields_of(child)
            if fields is None:
                raise refusal(self.operation, self.path[:depth], child, "object")
            holder = fields
        return holder


#: A path, prepared once, so that a row pays for nothing but the access itself.
Place: TypeAlias = TopField | NestedField


def place(operation: str, path: FieldPath) -> Place:
    """
    Prepare a path for the operation of that name.
    """
    return TopField(operation, path) if len(path) == 1 else NestedField(operation, path)


def fields_of(value: Any) -> Mapping[str, Any] | None:
    """
    Return the fields of a value that the server calls a document, or None.
    """
    if isinstance(value, Mapping):
        return value
    return value.as_doc() if isinstance(value, DBRef) else None


def refusal(operation: str, path: FieldPath, found: Any, expected: str) -> OperationRefusedError:
    """
    Return the error that refuses what was found at a path.
    """
    found_type = "missing" if found is MISSING else type_name(found)
    return OperationRefusedError(operation=operation, path=dotted(path), found=found_type, expected=expected)
