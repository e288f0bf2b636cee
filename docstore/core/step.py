"""A step: the adjacent change from version N-1 to N."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeAlias

from docstore.core.bson_values import RawDocument
from docstore.core.operation import FieldOperation, Operation, Program
from docstore.core.paths import FieldPath, parse_path
from docstore.errors import NotCompilableError, NotInvertibleError, StepContentError

#: An upgrader or a downgrader: takes a document of its own, returns the document at the next version.
StepFunction: TypeAlias = Callable[[RawDocument], RawDocument]


class Step:
    """
    The change that produces version *to*: operations, or an upgrade function with an optional downgrade function.

    Operations run in the order in which they are given, and the step's way back is derived from them. Functions get
    a document that is theirs to change, must return a dict, must be pure (the same result whenever they run, on
    whichever node) and must leave `_id` alone; the tag is set for them.

    Args:
        operations: What the step does, as data. They run on the server too.
        to: The version that the step produces. Steps in files named `vNNNN_*.py` take it from the name.
        upgrade: From version to-1 to *to*, in Python.
        downgrade: From *to* back to to-1, in Python.
        writes: The top-level fields or dotted paths that the functions create, change or remove. With it, queries on
            other paths need not care for rows that are still old; a function that writes elsewhere fails the row.
            Without it, a function step is taken to change every path.
        summary: One sentence for people.

    Raises:
        StepContentError: Operations and functions were given together, or neither, or an impossible version, or
            something of the wrong type.
        InvalidFieldPathError: *writes* holds an impossible path.
    """

    def __init__(
        self,
        *operations: Operation,
        to: int | None = None,
        upgrade: StepFunction | None = None,
        downgrade: StepFunction | None = None,
        writes: Sequence[str] | None = None,
        summary: str = "",
    ) -> None:
        if to is not None and (type(to) is not int or to < 1):
            raise StepContentError(reason="must produce a positive version", version=to)
        if operations and (upgrade is not None or downgrade is not None):
            raise StepContentError(reason="holds both operations and functions; use two steps", version=to)
        if not operations and upgrade is None:
            raise StepContentError(reason="holds neither operations nor an upgrade function", version=to)
        for operation in operations:
            if isinstance(operation, type) or not isinstance(operation, Operation):
                found = getattr(operation, "__name__", type(operation).__name__)
                raise StepContentError(
                    reason=f"was given {found!r}, which is no operation; functions go to upgrade=", version=to
                )
        for function in (upgrade, downgrade):
            if function is not None and not callable(function):
                raise StepContentError(reason=f"was given a {type(function).__name__} for a function", version=to)
        if isinstance(writes, str):
            raise StepContentError(reason="declares writes as one text; it takes a list of paths", version=to)
        if writes is not None and operations:
            raise StepContentError(reason="declares writes, which operations tell by themselves", version=to)
        self.operations: tuple[Operation, ...] = operations
        self.to = to
        self.upgrade = upgrade
        self.downgrade = downgrade
        self.declared_writes = None if writes is None else frozenset(map(parse_path, writes))
        self.summary = summary

    def produces(self, version: int) -> "Step":
        """Return the same step with its version filled in."""
        step = object.__new__(Step)
        step.__dict__.update({k: v for k, v in self.__dict__.items() if k not in _CACHED}, to=version)
        return step

    @cached_property
    def writes(self) -> frozenset[FieldPath] | None:
        """The paths that the step may change; None means that any path may change."""
        if not self.operations:
            return self.declared_writes
        return frozenset(path for operation in self.operations for path in operation.writes)

    @cached_property
    def inverse(self) -> tuple[Operation, ...]:
        """
        The operations that lead back, in the order in which they run.

        Raises:
            NotInvertibleError: One of the operations has no exact way back; names it and says why.
        """
        if not self.operations:
            raise NotInvertibleError(operation="a function step", reason="its way back is its downgrade function")
        return tuple(operation.invert() for operation in reversed(self.operations))

    @cached_property
    def trimming_inverse(self) -> tuple[Operation, ...]:
        """
        The same, but where an operation would refuse a row for holding too much it takes what fits.

        Raises:
            NotInvertibleError: One of the operations has no exact way back; names it and says why.
        """
        return tuple(each.trimming() if isinstance(each, FieldOperation) else each for each in self.inverse)

    @property
    def has_way_back(self) -> bool:
        """Whether rows can be brought back from this step's version."""
        if not self.operations:
            return self.downgrade is not None
        try:
            return bool(self.inverse)
        except NotInvertibleError:
            return False

    @cached_property
    def programs(self) -> tuple[Program, ...]:
        """
        The step as the server runs it.

        Raises:
            NotCompilableError: The step is made of functions, or an operation cannot run on the server.
        """
        if not self.operations:
            raise NotCompilableError(operation=f"step {self.to}", reason="it is made of Python functions")
        return tuple(operation.compile() for operation in self.operations)

    @cached_property
    def inverse_programs(self) -> tuple[Program, ...]:
        """
        The step's way back as the server runs it.

        Raises:
            NotCompilableError: The step is made of functions, or an operation cannot run on the server.
            NotInvertibleError: One of the operations has no exact way back.
        """
        if not self.operations:
            raise NotCompilableError(operation=f"step {self.to}", reason="it is made of Python functions")
        return tuple(operation.compile() for operation in self.inverse)

    def __repr__(self) -> str:
        content: Any = ", ".join(map(repr, self.operations)) or f"upgrade={_name(self.upgrade)}"
        return f"Step({content}, to={self.to})"


_CACHED = {"writes", "inverse", "trimming_inverse", "programs", "inverse_programs"}


def _name(function: StepFunction | None) -> str:
    return "None" if function is None else getattr(function, "__qualname__", repr(function))
