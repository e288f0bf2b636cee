"""
Bring fields of a sub-document out of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from docstore.core.bson_values import RawDocument
from docstore.core.expressions import Expression, Literal, Ref, absent, is_type, present, readable, set_where, writable
from docstore.core.operation import Assign, FieldOperation, Program
from docstore.core.origins import Origin, moved_from
from docstore.core.path_update import Earlier, PathUpdate, moved
from docstore.core.paths import MISSING, FieldPath, dotted, parse_path
from docstore.operations.arguments import assign, parse_names, require_apart
from docstore.operations.place import Place, fields_of, place

if TYPE_CHECKING:
    from docstore.operations.nest_fields import NestFields


@dataclass(frozen=True, slots=True, eq=False)
class UnnestFields(FieldOperation):
    """
    Bring fields of a sub-document out of it, and remove the sub-document once it is empty.

        UnnestFields("country", {"code": "countrycode", "admin1": "admin1code"})
        before  {"country": {"code": "AT", "admin1": "06"}, "name": "Graz"}
        after   {"name": "Graz", "countrycode": "AT", "admin1code": "06"}

    `UnnestFields("country", ["code", "admin1"])` keeps the names and puts the fields beside `country`.

    - Sub-document missing or null, or none of the fields in it: nothing happens.
    - Field present in it: moved, null and whatever type included. Fields that are not named stay where they are.
    - Target present: refused. Target's parent missing: created; null: refused.
    - Sub-document of another type, or an array or a scalar above it or above a target: refused.

    Inverse: `NestFields`. Exact for rows in which the targets' parents were there.

    Raises:
        InvalidFieldPathError: A path is impossible.
        InvalidOperationError: No fields, the same target twice, or paths that overlap.
    """

    source: str
    fields: Sequence[str] | Mapping[str, str]
    _source: Place = field(init=False, repr=False, compare=False)
    _targets: tuple[tuple[str, Place], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        source = parse_path(self.source)
        named = self.fields
        if isinstance(named, Sequence) and not isinstance(named, str):
            named = {name: dotted((*source[:-1], name)) for name in named}
        renamed = parse_names("UnnestFields", named, swap=True)
        targets = {name: parse_path(path) for name, path in renamed.items()}
        require_apart("UnnestFields", source, *targets.values())
        paths = frozenset({source, *targets.values()})
        assign(self, fields=renamed, reads=paths, writes=paths, _source=place("UnnestFields", source))
        assign(self, _targets=tuple((name, place("UnnestFields", path)) for name, path in targets.items()))

    def change(self, document: RawDocument) -> None:
        """
        Move what is there.
        """
        found = self._source.get(document)
        if found is MISSING or found is None:
            return
        held = fields_of(found)
        if held is None:
            raise self._source.refuse(found, "object")
        moved = [(name, target) for name, target in self._targets if name in held]
        if not moved:
            return
        for _, target in moved:
            target.require_absent(document)
        rest = dict(held)
        for name, target in moved:
            target.put(document, rest.pop(name))
        if rest:
            self._source.put(document, rest)
        else:
            self._source.drop(document)

    def invert(self) -> "NestFields":
        """
        Return the move back into the sub-document.
        """
        from docstore.operations.nest_fields import NestFields  # noqa: PLC0415 - each is the inverse of the other

        return NestFields({dotted(target.path): name for name, target in self._targets}, into=self.source)

    def compile(self) -> Program:
        """
        Set the targets, and the sub-document to what is left of it.
        """
        source = self._source.path
        targets = [((*source, name), target.path) for name, target in self._targets]
        rest: Expression = Ref(source)
        for name, _ in self._targets:
            rest = {"$unsetField": {"field": Literal(name), "input": rest}}
        # What was brought out would keep its place for a field of the same name; see `compaction`.
        rest = {"$mergeObjects": [rest]}
        something = {"$or": [present(inner) for inner, _ in targets]}
        left = {"$cond": [{"$eq": ["$$dsRest", Literal({})]}, "$$REMOVE", "$$dsRest"]}
        kept = {"$let": {"vars": {"dsRest": rest}, "in": left}}
        requires = [
            *readable(source),
            *writable(*(target for _, target in targets)),
            is_type(Ref(source), "object", "null", "missing"),
            *(absent(target) for _, target in targets),
        ]
        # One action each, because two nested targets may share the top-level field that is assigned.
        moves = [Assign((set_where(target, Ref(inner)),)) for inner, target in targets]
        left_over = Assign((set_where(source, kept, something, removes=True),), in_place=True)
        return Program(tuple(requires), (*moves, left_over))

    def origin(self, path: FieldPath) -> Origin:
        """
        Return the fields of the sub-document for what was brought out of it.
        """
        return moved_from(path, self._moves())

    def earlier(self, update: PathUpdate) -> Earlier | None:
        """
        Return the update of a field of the sub-document for one of what was brought out of it.
        """
        return moved(update, self._moves())

    def _moves(self) -> list[tuple[FieldPath, FieldPath]]:
        source = self._source.path
        return [((*source, name), target.path) for name, target in self._targets]
