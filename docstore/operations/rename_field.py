"""
Rename a field, or move it elsewhere in the document.
"""

from dataclasses import dataclass, field

from docstore.core.bson_values import RawDocument
from docstore.core.expressions import Ref, absent, readable, set_where, writable
from docstore.core.operation import Assign, FieldOperation, Program, Remove
from docstore.core.origins import Origin, moved_from
from docstore.core.path_update import Earlier, PathUpdate, moved
from docstore.core.paths import MISSING, FieldPath, parse_path
from docstore.operations.arguments import assign, require_apart
from docstore.operations.place import Place, place


@dataclass(frozen=True, slots=True, eq=False)
class RenameField(FieldOperation):
    """
    Give a field another name, or another place in or out of sub-documents.

        RenameField("zip", "address.postcode")
        before  {"zip": "1010", "address": {"city": "Wien"}}
        after   {"address": {"city": "Wien", "postcode": "1010"}}

    - Source missing, or under a missing or null parent: nothing happens.
    - Source present: moved, null and whatever type included. The parent that it leaves stays, empty or not.
    - Target present: refused, since it would be overwritten.
    - Target's parent missing: created. Null: refused. An array or a scalar above the source or the target: refused.

    Inverse: the move back. Exact for rows in which the target's parents were there.

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
        require_apart("RenameField", source, target)
        paths = frozenset({source, target})
        assign(self, reads=paths, writes=paths)
        assign(self, _source=place("RenameField", source), _target=place("RenameField", target))

    def change(self, document: RawDocument) -> None:
        """
        Move the value, if there is one.
        """
        value = self._source.get(document)
        if value is not MISSING:
            self._target.require_absent(document)
            self._source.drop(document)
            self._target.put(document, value)

    def invert(self) -> "RenameField":
        """
        Return the move back.
        """
        return RenameField(self.target, self.source)

    def compile(self) -> Program:
        """
        Set the target, unset the source.
        """
        source, target = self._source.path, self._target.path
        return Program(
            requires=(*readable(source), *writable(target), absent(target)),
            actions=(Assign((set_where(target, Ref(source)),)), Remove((source,))),
        )

    def origin(self, path: FieldPath) -> Origin:
        """
        Return the source for what lies at the target.
        """
        return moved_from(path, [(self._source.path, self._target.path)])

    def earlier(self, update: PathUpdate) -> Earlier | None:
        """
        Return the update of the source for one of the target.
        """
        return moved(update, [(self._source.path, self._target.path)], parents_stay=True)
