"""What an operation is: one declarative piece of a step that can be applied, inverted and compiled."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypeAlias, runtime_checkable

from bson.errors import BSONError

from docstore.core.bson_values import RawDocument, identical
from docstore.core.expressions import Expression, references
from docstore.core.origins import Moved, Origin
from docstore.core.path_update import Earlier, PathUpdate, beside
from docstore.core.paths import FieldPath, overlap_any


@dataclass(frozen=True, slots=True)
class Assign:
    """
    Set fields to expressions, all evaluated on the document as it is before this action.

    A field that exists keeps its place, a new one goes to the end, a missing result removes the field: a `$set`.

    Attributes:
        values: Paths and what they are set to.
        in_place: No field is added: whatever is missing before is missing after.
        total: No field is missing after.
    """

    values: tuple[tuple[FieldPath, Expression], ...]
    in_place: bool = False
    total: bool = False

    @property
    def paths(self) -> tuple[FieldPath, ...]:
        """The paths that are assigned, in order."""
        return tuple(path for path, _ in self.values)

    @property
    def refs(self) -> frozenset[FieldPath]:
        """The paths that the expressions read."""
        return frozenset(path for _, value in self.values for path in references(value))


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove fields, leaving the documents that held them, empty or not: an `$unset`."""

    paths: tuple[FieldPath, ...]


Action: TypeAlias = Assign | Remove


@dataclass(frozen=True, slots=True)
class Program:
    """
    An operation as the server runs it.

    Where every condition in *requires* holds, running *actions* gives exactly the document that `apply` gives, byte
    for byte (P10). Where one does not hold, the server path declines the row and `apply` decides. Conditions and
    actions speak of the document just before this operation, and conditions raise no error on any document.
    """

    requires: tuple[Expression, ...]
    actions: tuple[Action, ...]


@runtime_checkable
class Operation(Protocol):
    """
    One declarative change of a document's shape.

    Implementations are frozen dataclasses: the fields are the whole definition, so that an operation can be compared,
    shown and stored as data. Laws, tested for every operation:

    1. `apply` never changes its argument; it returns a new document or raises `OperationRefusedError`.
    2. `invert().apply(apply(d))` is d for documents of the shape that the docstring calls *before*, or `invert`
       raises `NotInvertibleError`. A row is changed in the order of its fields only.
    3. `compile()` on a server gives the same document as `apply` wherever its conditions hold.
    4. Only *writes* change, and the outcome depends on *reads* alone. (`put`, which lifts a changed older view back
       onto a newer row, rests on this: where nothing at *reads* changed, the newer row's *writes* stay.)
    5. `origin` is true of every row that `apply` takes, also of those that the server declines: a query is asked of old
       rows as it says, and nothing looks at the outcome again.
    """

    @property
    def reads(self) -> frozenset[FieldPath]:
        """The paths on which the outcome depends."""
        ...

    @property
    def writes(self) -> frozenset[FieldPath]:
        """The paths that may be created, changed or removed; a path stands for all that lies within it."""
        ...

    def apply(self, document: Mapping[str, Any]) -> RawDocument:
        """Return the document after the operation; the argument stays as it is."""
        ...

    def change(self, document: RawDocument) -> None:
        """
        Like `apply`, on a document whose top level the caller owns.

        Values within are shared with other documents: they are replaced, never changed in place. After
        `OperationRefusedError` the document must be thrown away.
        """
        ...

    def invert(self) -> "Operation":
        """Return the operation that undoes this one, or raise `NotInvertibleError`."""
        ...

    def compile(self) -> Program:
        """Return the operation as the server runs it, or raise `NotCompilableError`."""
        ...

    def origin(self, path: FieldPath) -> Origin:
        """
        Return where what stands at a path after the operation stood before it, for all rows that the operation takes.

        A filter on the path is then asked of rows before it. None, where that cannot be said exactly.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class FieldOperation:
    """
    What all operations share: their paths as plain attributes, `apply` in terms of `change`, and comparison.

    Two operations are equal if they are of one class and were given the same values, of the same BSON types: Python's
    `==` would call `AddField("a", 1)` and `AddField("a", True)` equal.
    """

    reads: frozenset[FieldPath] = field(init=False, repr=False, compare=False)
    writes: frozenset[FieldPath] = field(init=False, repr=False, compare=False)

    def change(self, document: RawDocument) -> None:
        """See `Operation.change`."""
        raise NotImplementedError

    def apply(self, document: Mapping[str, Any]) -> RawDocument:
        """Return the document after the operation; the argument stays as it is."""
        working = dict(document)
        self.change(working)
        return working

    def invert(self) -> Operation:
        """See `Operation.invert`."""
        raise NotImplementedError

    def trimming(self) -> Operation:
        """
        Return the operation for a row of which the rest is kept elsewhere.

        It takes what fits where this one refuses a row for holding too much; otherwise it is this one.
        """
        return self

    def compile(self) -> Program:
        """See `Operation.compile`."""
        raise NotImplementedError

    def origin(self, path: FieldPath) -> Origin:
        """Return that what the operation does not write stays where it is, and that nothing is known of the rest."""
        return None if overlap_any(path, self.writes) else Moved((path,))

    def earlier(self, update: PathUpdate) -> Earlier | None:
        """
        Return the update that does before the operation what this one does after it; None where there is none.

        What it leaves is a row of the older shape: the way back makes the same of what the other one leaves.
        """
        return beside(update, self.reads | self.writes)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(alike(getattr(self, one.name), getattr(other, one.name)) for one in fields(self) if one.compare)

    def __hash__(self) -> int:
        return hash((type(self), repr(self)))


def alike(first: object, second: object) -> bool:
    """Tell whether two arguments of operations are the same: values by their BSON, anything else by `==`."""
    if isinstance(first, tuple) and isinstance(second, tuple):
        return len(first) == len(second) and all(map(alike, first, second))
    if isinstance(first, type) or isinstance(second, type):
        return first is second
    try:
        return identical(first, second)
    except (BSONError, OverflowError):
        return first == second
