"""
Convert a field to another type.
"""

from dataclasses import dataclass, field
from typing import Literal as OneOf

from docstore.core.bson_values import RawDocument, type_name
from docstore.core.expressions import Expression, Literal, Ref, is_type, present, readable, set_where
from docstore.core.operation import Assign, FieldOperation, Program
from docstore.core.paths import MISSING, parse_path
from docstore.errors import InvalidOperationError, NotInvertibleError
from docstore.operations.arguments import assign, fresh, require_choice, stored_value
from docstore.operations.conversions import CONVERSIONS, IMPOSSIBLE, Conversion
from docstore.operations.place import Place, place
from docstore.operations.server_conversions import SERVER_CONVERSIONS
from docstore.operations.value import Value


@dataclass(frozen=True, slots=True, eq=False)
class ConvertType(FieldOperation):
    """
    Convert a field to another type, without losing anything.

        ConvertType("population", int)
        before  {"population": "1931593"}
        after   {"population": 1931593}

    - Missing or null, or under a missing or null parent: nothing happens.
    - Of the type already: kept. For `int`, an int64 that fits into int32 becomes int32, as Python would store it.
    - Convertible: converted where it stands. What that means is in `docs/operations.md`: nothing may be lost.
    - Anything else: refused, or replaced by `on_error=Value(...)`.
    - An array or a scalar above the field: refused.

    Inverse: the conversion to *was*; without *was* there is none. Exact for rows that held that type, and texts written
    as the way back writes them.

    Args:
        path: The field.
        to: `int`, `Int64`, `float`, `Decimal128`, `str`, `bool`, `datetime.datetime` or `ObjectId`.
        on_error: What to do with a value that cannot be converted.
        was: The type to which the way back converts.

    Raises:
        InvalidFieldPathError: *path* is impossible.
        InvalidOperationError: *to* or *was* is none of those types, or *on_error* neither "refuse" nor a `Value`.
    """

    path: str
    to: type
    on_error: OneOf["refuse"] | Value = "refuse"
    was: type | None = field(default=None, kw_only=True)
    _place: Place = field(init=False, repr=False, compare=False)
    _conversion: Conversion = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        path = parse_path(self.path)
        for kind in [self.to] if self.was is None else [self.to, self.was]:
            if kind not in CONVERSIONS:
                names = ", ".join(known.__name__ for known in CONVERSIONS)
                raise InvalidOperationError(operation="ConvertType", reason=f"converts between {names} only")
        if isinstance(self.on_error, Value):
            assign(self, on_error=Value(stored_value("ConvertType", "on_error", self.on_error.value)))
        else:
            require_choice("ConvertType", "on_error", self.on_error, ("refuse",), also="Value(...)")
        paths = frozenset({path})
        assign(self, reads=paths, writes=paths, _place=place("ConvertType", path), _conversion=CONVERSIONS[self.to])

    def change(self, document: RawDocument) -> None:
        """
        Convert the value, if there is one.
        """
        value = self._place.get(document)
        if value is MISSING or value is None:
            return
        converted = self._conversion(value, type_name(value))
        if converted is not IMPOSSIBLE:
            self._place.put(document, converted)
        elif isinstance(self.on_error, Value):
            self._place.put(document, fresh(self.on_error.value))
        else:
            raise self._place.refuse(value, f"what converts to {self.to.__name__} without loss")

    def invert(self) -> "ConvertType":
        """
        Return the conversion back.
        """
        if self.was is None:
            raise NotInvertibleError(
                operation=f"ConvertType({self.path!r})", reason="nothing says what it was; give was"
            )
        return ConvertType(self.path, self.was, was=self.to)

    def compile(self) -> Program:
        """
        Set the field to its conversion, by type.
        """
        path, value = self._place.path, Ref(self._place.path)
        nothing = is_type(value, "missing", "null")
        accepted, converted = [], []
        for kind, rule in SERVER_CONVERSIONS[self.to](value).items():
            then, accepts = rule.value, rule.accepts
            if isinstance(self.on_error, Value):
                then = {"$cond": [rule.accepts, then, Literal(self.on_error.value)]}
                accepts = {"$or": [rule.accepts, rule.rejects]}
            accepted.append({"case": is_type(value, kind), "then": accepts})
            converted.append({"case": is_type(value, kind), "then": then})
        otherwise: Expression = value
        if isinstance(self.on_error, Value):
            otherwise = {"$cond": [nothing, value, Literal(self.on_error.value)]}
        fits = {"$switch": {"branches": accepted, "default": isinstance(self.on_error, Value) or nothing}}
        result = {"$switch": {"branches": converted, "default": otherwise}}
        action = Assign((set_where(path, result, present(path)),), in_place=True)
        return Program((*readable(path), fits), (action,))
