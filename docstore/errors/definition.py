"""The code is wrong: a kind, a step or an operation."""

from collections.abc import Sequence
from typing import Any, Self

from docstore.errors.base import DocstoreError


class DefinitionError(DocstoreError):
    """A kind, a step or an operation is wrong; nothing has been read or written."""


class VersionGapError(DefinitionError):
    """A version between the kind's floor and its latest has no step that produces it."""

    def __init__(self, *, kind: str, missing: Sequence[int]) -> None:
        self.kind = kind
        self.missing = tuple(missing)
        versions = ", ".join(map(str, self.missing))
        super().__init__(
            f"kind {kind!r} has no step that produces version {versions}",
            advice="add the missing step, or raise the kind's floor if those versions are retired",
        )


class DuplicateStepError(DefinitionError):
    """Two steps of a kind produce the same version."""

    def __init__(self, *, kind: str, version: int, first: str, second: str) -> None:
        self.kind = kind
        self.version = version
        self.first = first
        self.second = second
        super().__init__(
            f"kind {kind!r} has two steps that produce version {version}: {first} and {second}",
            advice="give the younger one the next free number",
        )


class StepFileError(DefinitionError):
    """A file in a kind's package cannot be used as a step."""

    def __init__(self, *, kind: str, file: str, line: int | None, reason: str) -> None:
        self.kind = kind
        self.file = file
        self.line = line
        self.reason = reason
        where = file if line is None else f"{file}:{line}"
        super().__init__(
            f"{where}: {reason}",
            advice="a step file is named v0002_what_it_does.py and holds step = Step(...)",
        )


class StepContentError(DefinitionError):
    """A step, or what a kind says of itself, cannot work: it holds too little, too much, or what cannot be."""

    def __init__(
        self, *, reason: str, kind: str | None = None, version: int | None = None, advice: str | None = None
    ) -> None:
        self.kind = kind
        self.version = version
        self.reason = reason
        whose = "" if kind is None else f" of kind {kind!r}"
        step = f"the step to version {version}{whose}"
        # Without a version it may be no step that is at fault, but what the kind says of itself.
        whole = "a step" if kind is None else f"kind {kind!r}"
        super().__init__(f"{whole if version is None else step} {reason}", advice=advice)


class InvalidFieldPathError(DefinitionError):
    """A field path cannot be used in an operation."""

    def __init__(self, *, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"field path {path!r} {reason}")


class InvalidOperationError(DefinitionError):
    """
    An operation was given arguments that cannot work on any row.
    """

    def __init__(self, *, operation: str, reason: str) -> None:
        self.operation = operation
        self.reason = reason
        super().__init__(f"{operation} {reason}")


class NotInvertibleError(DefinitionError):
    """An operation or a step has no exact way back."""

    def __init__(self, *, operation: str, reason: str, kind: str | None = None, version: int | None = None) -> None:
        self.operation = operation
        self.reason = reason
        self.kind = kind
        self.version = version
        where = "" if kind is None else f" (kind {kind!r}, step to version {version})"
        super().__init__(f"{operation} cannot be inverted{where}: {reason}")


class NotCompilableError(DefinitionError):
    """A step or an operation cannot run inside the server."""

    def __init__(self, *, operation: str, reason: str) -> None:
        self.operation = operation
        self.reason = reason
        super().__init__(f"{operation} cannot run on the server: {reason}")


class NotPublishableError(DefinitionError):
    """An operation cannot be kept as data, or what was kept cannot be made an operation again."""

    def __init__(self, *, operation: str, reason: str, argument: str | None = None) -> None:
        self.operation = operation
        self.argument = argument
        self.reason = reason
        where = "" if argument is None else f" (argument {argument!r})"
        super().__init__(f"{operation}{where} is no data: {reason}")


class PathsDifferError(DefinitionError):
    """
    The server and Python do not make the same of a row; nothing was written.
    """

    def __init__(self, *, kind: str, id: Any, version: int | None, target: int, paths: Sequence[str]) -> None:
        self.kind = kind
        self.id = id
        self.version = version
        self.target = target
        self.paths = tuple(paths)
        start = "untagged" if version is None else f"version {version}"
        super().__init__(
            f"{kind} {id!r} ({start}): the server and Python do not agree on version {target} at "
            f"{', '.join(map(repr, self.paths))}",
            advice="the step or one of its operations has a fault: write it as functions, and report the operation",
        )


class CollectionSharedError(DefinitionError):
    """Two kinds of one store name the same collection; rows have one version line per collection."""

    def __init__(self, *, collection: str, first: str, second: str) -> None:
        self.collection = collection
        self.first = first
        self.second = second
        super().__init__(
            f"kinds {first!r} and {second!r} share the collection {collection!r}",
            advice="a collection belongs to one kind: give one of them a collection of its own",
        )


class ModelFieldError(DefinitionError):
    """A field of a kind's model would be stored under a name under which it is not read."""

    def __init__(self, *, kind: str, field: str, stored_as: str, read_from: Sequence[str]) -> None:
        self.kind = kind
        self.field = field
        self.stored_as = stored_as
        self.read_from = tuple(read_from)
        names = " or ".join(map(repr, self.read_from))
        super().__init__(
            f"the model of kind {kind!r} stores its field {field!r} as {stored_as!r}, but reads it from {names}",
            advice="give the field one alias for both: Field(alias=...)",
        )


class KindModuleError(DefinitionError):
    """A module of the package that holds the kinds cannot be imported."""

    def __init__(self, *, module: str, file: str, line: int | None, reason: str) -> None:
        self.module = module
        self.file = file
        self.line = line
        self.reason = reason
        where = file if line is None else f"{file}:{line}"
        super().__init__(f"{where}: {reason}")


class RetiredStepsMissingError(DefinitionError):
    """
    Retired steps were asked for that nobody has kept; `package` is where they would be, None for steps without files.
    """

    def __init__(self, *, kind: str, floor: int, package: str | None) -> None:
        self.kind = kind
        self.floor = floor
        self.package = package
        where = "its steps have no files" if package is None else f"there is none in {package!r}"
        super().__init__(
            f"kind {kind!r} keeps no retired steps below its floor {floor}: {where}",
            advice=f"docstore retire {kind} --archive keeps them; else run the command from a checkout of the release "
            "that still has the steps",
        )


class UpgradersNotFoundError(DefinitionError):
    """The package that should hold the kinds is not there, or holds none."""

    def __init__(self, *, package: str, reason: str) -> None:
        self.package = package
        self.reason = reason
        super().__init__(
            f"the package {package!r} {reason}",
            advice="name the package that holds the kinds: --upgraders PACKAGE, DOCSTORE_UPGRADERS, or "
            "`upgraders` in [tool.docstore] of pyproject.toml",
        )


class UnknownKindError(DefinitionError):
    """A kind was named that is not there."""

    def __init__(self, *, kind: str, known: Sequence[str], where: str) -> None:
        self.kind = kind
        self.known = tuple(known)
        self.where = where
        there = ", ".join(self.known) or "none"
        super().__init__(f"there is no kind {kind!r} in {where} (found: {there})")


class KindDefinitionError(ExceptionGroup[DefinitionError], DefinitionError):
    """Every fault that was found in one kind, reported at once; `exceptions` holds them."""

    kind: str

    def __new__(cls, message: str, faults: Sequence[DefinitionError], *, kind: str = "") -> Self:
        """Build the group; an exception group takes its members here."""
        error = super().__new__(cls, message, faults)
        error.kind = kind
        return error

    def __init__(self, message: str, faults: Sequence[DefinitionError], *, kind: str = "") -> None:
        del faults, kind
        self.advice = None
        Exception.__init__(self, message)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_group, (self.message, self.exceptions, self.kind))

    def derive(self, excs: Sequence[DefinitionError]) -> "KindDefinitionError":  # type: ignore[override]
        """Return the same group with other members, as `split` and `except*` need it."""
        return KindDefinitionError(self.message, excs, kind=self.kind)


def _rebuild_group(message: str, faults: tuple[DefinitionError, ...], kind: str) -> KindDefinitionError:
    return KindDefinitionError(message, faults, kind=kind)
