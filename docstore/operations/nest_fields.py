"""
Gather fields into a sub-document.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from docstore.core.bson_values import RawDocument
from docstore.core.expressions import Ref, absent, is_type, present, readable, set_where, writable
from docstore.core.operation import Assign, FieldOperation, Program, Remove
from docstore.core.origins import Origin, moved_from
from docstore.core.path_update import Earlier, PathUpdate, moved
from docstore.core.paths import MISSING, FieldPath, dotted, parse_path
from docstore.operations.arguments import assign, parse_names, require_apart
from docstore.operations.place import Place, fields_of, place
from docstore.operations.unnest_fields import UnnestFields


@dataclass(frozen=True, slots=True, eq=False)
class NestFields(FieldOperation):
    """
    Gather fields into a sub-document, under their own names or new ones.

        NestFields({"countrycode": "code", "admin1code": "admin1"}, into="country")
        before  {"name": "Graz", "countrycode": "AT", "admin1code": "06"}
        after   {"name": "Graz", "country": {"code": "AT", "admin1": "06"}}

    `NestFields(["code", "admin1"], into="country")` keeps the names (of a dotted path, the last part).

    - Source missing, or under a missing or null parent: left out; where all are, nothing happens.
    - Source present: moved, null and whatever type included, in the order of the list.
    - `into` missing: created. A document: the fields are added at its end; refused if one of the names is there.
      Anything else, null included: refused.
    - An array or a scalar above a source or `into`: refused.

    Inverse: `UnnestFields`. Exact where `into` was missing, or a document with fields of its own.

    Raises:
        InvalidFieldPathError: A path is impossible.
        InvalidOperationError: No fields, two of the same new name, or paths that overlap.
    """

    fields: Sequence[str] | Mapping[str, str]
    into: str
    _sources: tuple[tuple[Place, str], ...] = field(init=False, repr=False, compare=False)
    _into: Place = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        into = parse_path(self.into)
        renamed = parse_names("NestFields", self.fields)
        sources = {parse_path(path): name for path, name in renamed.items()}
        require_apart("NestFields", *sources, into)
        paths = frozenset({*sources, into})
        assign(self, fields=renamed, reads=paths, writes=paths, _into=place("NestFields", into))
        assign(self, _sources=tuple((place("NestFields", path), name) for path, name in sources.items()))

    def change(self, document: RawDocument) -> None:
        """
        Move what is there.
        """
        moved = {}
        for source, name in self._sources:
            value = source.get(document)
            if value is not MISSING:
                moved[name] = value
                source.drop(document)
        if not moved:
            return
        found = self._into.get(document)
        if found is not MISSING:
            held = fields_of(found)
            if held is None:
                raise self._into.refuse(found, "object or missing")
            for name in moved:
                if name in held:
                    raise place("NestFields", (*self._into.path, name)).refuse(held[name], "missing")
            moved = {**held, **moved}
        self._into.put(document, moved)

    def invert(self) -> UnnestFields:
        """
        Return the move back to where the fields were.
        """
        return UnnestFields(self.into, {name: dotted(place.path) for place, name in self._sources})

    def compile(self) -> Program:
        """
        Set the sub-document where there is something to move, unset the sources.
        """
        into, sources = self._into.path, [(place.path, name) for place, name in self._sources]
        merged = {"$mergeObjects": [Ref(into), {name: Ref(path) for path, name in sources}]}
        something = {"$or": [present(path) for path, _ in sources]}
        requires = [
            *readable(*(path for path, _ in sources)),
            *writable(into),
            is_type(Ref(into), "object", "missing"),
            *(absent((*into, name)) for _, name in sources),
        ]
        return Program(
            requires=tuple(requires),
            actions=(
                Assign((set_where(into, merged, something),)),
                Remove(tuple(path for path, _ in sources)),
            ),
        )

    def origin(self, path: FieldPath) -> Origin:
        """
        Return the sources for what lies in the sub-document.
        """
        return moved_from(path, self._moves())

    def earlier(self, update: PathUpdate) -> Earlier | None:
        """
        Return the update of a source for one of what lies in the sub-document.
        """
        return moved(update, self._moves())

    def _moves(self) -> list[tuple[FieldPath, FieldPath]]:
        into = self._into.path
        return [(source.path, (*into, name)) for source, name in self._sources]
