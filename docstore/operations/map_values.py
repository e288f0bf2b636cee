"""
Replace values by a table.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from typing import Literal as OneOf

from docstore.core.bson_values import RawDocument, comparison_key, identical
from docstore.core.expressions import Expression, Literal, Ref, absent, present, readable, set_where
from docstore.core.operation import Assign, FieldOperation, Program
from docstore.core.origins import Mapped, Origin
from docstore.core.path_update import UNSET, Earlier, PathUpdate
from docstore.core.paths import MISSING, FieldPath, dotted, parse_path
from docstore.errors import InvalidOperationError, NotInvertibleError
from docstore.operations.arguments import assign, fresh, require_choice, stored_value
from docstore.operations.place import Place, place
from docstore.operations.value import Value

#: Types whose values equal only values of their own type, exactly as in Python.
_EXACT: Final = frozenset({str, type(None)})


@dataclass(frozen=True, slots=True, eq=False)
class MapValues(FieldOperation):
    """
    Replace values by a table.

        MapValues("status", {"a": "active", "d": "deleted"})
        before  {"status": "a"}
        after   {"status": "active"}

    Values are the same if the server calls them equal: 1, 1.0 and Int64(1) are, 1 and True are not. A table with both
    1 and True, or with documents or lists to look up, is written as pairs: `[(1, "one"), (True, "yes")]`.

    - Missing, or under a missing or null parent: nothing happens.
    - In the table: replaced where it stands. Null and lists are values like others.
    - Not in the table: refused, or kept (`other="keep"`), or replaced (`other=Value("unknown")`).
    - An array or a scalar above the field: refused.

    Inverse: the table the other way round, if no two values became one. Exact for rows that held values of the table,
    of the types that stand there; what *other* kept must not be one of the new values. There is none for
    `other=Value(...)`.

    Raises:
        InvalidFieldPathError: *path* is impossible.
        InvalidOperationError: The table is empty, has equal values to look up, or holds what cannot be stored; or
            *other* is none of the three.
    """

    path: str
    mapping: Mapping[Any, Any] | Sequence[tuple[Any, Any]]
    other: OneOf["keep", "refuse"] | Value = field(default="refuse", kw_only=True)
    _place: Place = field(init=False, repr=False, compare=False)
    _table: dict[Hashable, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        path = parse_path(self.path)
        given = self.mapping.items() if isinstance(self.mapping, Mapping) else self.mapping
        pairs = tuple(
            (stored_value("MapValues", "old value", old), stored_value("MapValues", "new value", new))
            for old, new in given
        )
        table = {comparison_key(old): new for old, new in pairs}
        if not pairs or len(table) < len(pairs):
            reason = "looks up the same value twice" if pairs else "was given an empty table"
            raise InvalidOperationError(operation="MapValues", reason=reason)
        if isinstance(self.other, Value):
            assign(self, other=Value(stored_value("MapValues", "other", self.other.value)))
        else:
            require_choice("MapValues", "other", self.other, ("keep", "refuse"), also="Value(...)")
        # Most values are texts: they are looked up as they are.
        table |= {old: new for old, new in pairs if type(old) in _EXACT}
        paths = frozenset({path})
        assign(self, mapping=pairs, reads=paths, writes=paths, _place=place("MapValues", path), _table=table)

    def change(self, document: RawDocument) -> None:
        """
        Look the value up, if there is one.
        """
        value = self._place.get(document)
        if value is MISSING:
            return
        key = value if type(value) in _EXACT else comparison_key(value)
        new = self._table.get(key, MISSING)
        if new is not MISSING:
            self._place.put(document, fresh(new))
        elif isinstance(self.other, Value):
            self._place.put(document, fresh(self.other.value))
        elif self.other == "refuse":
            raise self._place.refuse(value, "a value of the table")

    def invert(self) -> "MapValues":
        """
        Return the table the other way round.
        """
        name = f"MapValues({self.path!r})"
        if isinstance(self.other, Value):
            raise NotInvertibleError(operation=name, reason="other values are lost; give other='keep' or 'refuse'")
        swapped = [(new, old) for old, new in self.mapping]
        if len({comparison_key(new) for new, _ in swapped}) < len(swapped):
            raise NotInvertibleError(operation=name, reason="several values become the same one")
        return MapValues(self.path, swapped, other=self.other)

    def compile(self) -> Program:
        """
        Set the field to what stands at its place in the table.
        """
        path = self._place.path
        old, new = (Literal(list(column)) for column in zip(*self.mapping, strict=True))
        default: Expression = Literal(self.other.value) if isinstance(self.other, Value) else Ref(path)
        found = {"$cond": [{"$gte": ["$$dsIndex", 0]}, {"$arrayElemAt": [new, "$$dsIndex"]}, default]}
        looked_up = {"$let": {"vars": {"dsIndex": {"$indexOfArray": [old, Ref(path)]}}, "in": found}}
        requires = readable(path)
        if self.other == "refuse":
            requires.append({"$or": [absent(path), {"$in": [Ref(path), old]}]})
        return Program(tuple(requires), (Assign((set_where(path, looked_up, present(path)),), in_place=True),))

    def origin(self, path: FieldPath) -> Origin:
        """
        Return the table.
        """
        mapped, pairs = self._place.path, list(self.mapping)
        if path != mapped:
            return FieldOperation.origin(self, path)
        if isinstance(self.other, Value):
            return Mapped(mapped, pairs, replaces=True, other=self.other.value)
        return Mapped(mapped, pairs, keeps=self.other == "keep")

    def earlier(self, update: PathUpdate) -> Earlier | None:
        """
        Return the update that sets the old value for one that sets the new.
        """
        mapped, new = self._place.path, update.operand
        if update.path != mapped:
            return FieldOperation.earlier(self, update)
        if update.operator == UNSET:
            return Earlier(update)
        if update.operator != "$set" or isinstance(self.other, Value):
            return None
        key = comparison_key(new)
        sources = [(old, made) for old, made in self.mapping if comparison_key(made) == key]
        if not sources:
            # Kept as it is, and on the way back too.
            return Earlier(update) if self.other == "keep" and key not in self._table else None
        old, made = sources[0]
        # Of old values that are only equal, one would be changed into the other where the new one stays as it is.
        if len(sources) > 1 or type(old) not in _EXACT or not identical(made, new):
            return None
        kept = ({dotted(mapped): {"$ne": new}},) if self.other == "keep" else ()
        return Earlier(PathUpdate(update.operator, mapped, old), conditions=kept)
