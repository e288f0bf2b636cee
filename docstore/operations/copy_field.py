"""
Copy a field.
"""

from dataclasses import dataclass, field

from docstore.core.bson_values import RawDocument
from docstore.core.expressions import Ref, absent, readable, set_where, writable
from docstore.core.operation import Assign, FieldOperation, Program
from docstore.core.origins import Moved, Origin, moved_from
from docstore.core.paths import MISSING, FieldPath, overlap, parse_path
from docstore.operations.arguments import assign, fresh, require_apart
from docstore.operations.place import Place, place
from docstore.operations.remove_field import RemoveField


@dataclass(frozen=True, slots=True, eq=False)
class CopyField(FieldOperation):
    """
    Copy a field to another place and leave the original.

        CopyField("email", "contact.email")
        before  {"email": "a@b.at"}
        after   {"email": "a@b.at", "contact": {"email": "a@b.at"}}

    - Source missing, or under a missing or null parent: nothing happens.
    - Source present: copied, null and whatever type included.
    - Target present: refused. Its parent missing: created; null: refused.
    - An array or a scalar above the source or the target: refused.

    Inverse: the removal of the copy. Exact for rows in which the target's parents were there.

    Raises:
        InvalidFieldPathError: A path is impossible.
        InvalidOperationError: One path is, or lies within, the other.
    """

    source: str
    target: str
    _source: Place = field(init=False, repr=False, compare=False)
    _target: Place = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        source, target = parse_path(self.source), parse_path(self.target)
        require_apart("CopyField", source, target)
        assign(self, reads=frozenset({source, target}), writes=frozenset({target}))
        assign(self, _source=place("CopyField", source), _target=place("CopyField", target))

    def change(self, document: RawDocument) -> None:
        """
        Copy the value, if there is one.
        """
        value = self._source.get(document)
        if value is not MISSING:
            self._target.require_absent(document)
            self._target.put(document, fresh(value))

    def invert(self) -> RemoveField:
        """
        Return the removal of the copy.
        """
        return RemoveField(self.target, restore=self)

    def compile(self) -> Program:
        """
        Set the target to the source.
        """
        source, target = self._source.path, self._target.path
        return Program(
            requires=(*readable(source), *writable(target), absent(target)),
            actions=(Assign((set_where(target, Ref(source)),)),),
        )

    def origin(self, path: FieldPath) -> Origin:
        """
        Return the original for the copy.
        """
        if not overlap(path, self._target.path):
            return Moved((path,))
        return moved_from(path, [(self._source.path, self._target.path)])
