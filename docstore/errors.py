"""
Every error that docstore raises on purpose, as one tree.

Three branches mean three reactions: fix the code, put the row aside, look at the database.

    DocstoreError
    ├── DefinitionError                 the kinds or their steps are wrong; found before any row is read
    │   ├── KindDefinitionError         all faults of one kind at once, as an exception group
    │   ├── VersionGapError
    │   ├── DuplicateStepError
    │   ├── StepFileError
    │   ├── StepContentError
    │   ├── InvalidFieldPathError
    │   ├── InvalidOperationError
    │   ├── NotInvertibleError
    │   ├── NotCompilableError
    │   ├── CollectionSharedError
    │   ├── ModelFieldError
    │   ├── KindModuleError
    │   ├── UpgradersNotFoundError
    │   └── UnknownKindError
    ├── DocumentError                   one row is at fault: it is put aside, everything else goes on
    │   ├── NewerVersionError
    │   ├── RetiredVersionError
    │   ├── UnknownVersionError
    │   ├── OperationRefusedError
    │   ├── UpgradeFailedError
    │   │   └── DowngradeFailedError
    │   ├── InvalidDocumentError
    │   └── UnstorableValueError
    ├── StoreError                      the database, or what was asked of it
    │   ├── StoreUnavailableError
    │   ├── StoreRejectedError
    │   ├── InvalidUriError
    │   ├── DocumentNotFoundError
    │   ├── DocumentExistsError
    │   ├── ConflictError
    │   ├── UnguardedReplaceError
    │   ├── UpdateRefusedError
    │   ├── QueryRefusedError
    │   └── StaleQueryError
    ├── VersionRangeError               a version was asked for that the kind does not have
    ├── BackfillRefusedError
    └── EmbeddedServerError

Every constructor takes facts by keyword, keeps them as attributes, and builds the sentence from them. No error
carries the value of a document's field: ids, kinds, paths, versions and type names only. What to do next stands in
the error's notes. All of them survive pickling.
"""

from collections.abc import Sequence
from typing import Any, Self


class DocstoreError(Exception):
    """Base of everything that docstore raises on purpose."""

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.advice = advice
        if advice is not None:
            self.add_note(advice)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__.copy()))


def _rebuild(cls: type[DocstoreError], args: tuple[Any, ...], facts: dict[str, Any]) -> DocstoreError:
    # Constructors take keyword facts only, so the default reconstruction from `args` cannot work.
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


# --- the code is wrong ------------------------------------------------------------------------------------------


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
    """A step holds neither operations nor an upgrade function, or both, or a number that cannot be."""

    def __init__(self, *, reason: str, kind: str | None = None, version: int | None = None) -> None:
        self.kind = kind
        self.version = version
        self.reason = reason
        where = "a step" if version is None else f"the step to version {version}"
        whose = "" if kind is None else f" of kind {kind!r}"
        super().__init__(f"{where}{whose} {reason}")


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


# --- one row is at fault ----------------------------------------------------------------------------------------


class DocumentError(DocstoreError):
    """One row is at fault; every other row is unaffected."""


class NewerVersionError(DocumentError):
    """A row is above what this code knows; it is never rewritten, stripped or tagged down."""

    def __init__(self, *, kind: str, id: Any, found: int, latest: int) -> None:
        self.kind = kind
        self.id = id
        self.found = found
        self.latest = latest
        super().__init__(
            f"{kind} {id!r} is at version {found}, but this code knows versions up to {latest}",
            advice="deploy the code that knows this version, or roll its rollout back",
        )


class RetiredVersionError(DocumentError):
    """A row is below the kind's floor: the steps that could read it have been removed."""

    def __init__(self, *, kind: str, id: Any, found: int, floor: int) -> None:
        self.kind = kind
        self.id = id
        self.found = found
        self.floor = floor
        super().__init__(
            f"{kind} {id!r} is at version {found}, but this code reads versions from {floor} on",
            advice="run the backfill with code that still has the steps, then deploy this code again",
        )


class UnknownVersionError(DocumentError):
    """A row's tag is no positive integer, so nobody can know its shape."""

    def __init__(self, *, kind: str, id: Any, found_type: str, field: str) -> None:
        self.kind = kind
        self.id = id
        self.found_type = found_type
        self.field = field
        super().__init__(f"{kind} {id!r} has a {field!r} that is no positive integer (its type is {found_type})")


class OperationRefusedError(DocumentError):
    """An operation met a row whose shape it does not accept; the row is unchanged."""

    def __init__(self, *, operation: str, path: str, found: str, expected: str) -> None:
        self.operation = operation
        self.path = path
        self.found = found
        self.expected = expected
        super().__init__(f"{operation} refuses {path!r}: found {found}, expected {expected}")


class UpgradeFailedError(DocumentError):
    """A step could not bring a row to the version that it produces; the stored row is unchanged."""

    def __init__(
        self,
        *,
        kind: str,
        id: Any,
        version: int,
        step: int,
        error: str,
        path: str | None = None,
        direction: str = "upgrade",
    ) -> None:
        self.kind = kind
        self.id = id
        self.version = version
        self.step = step
        self.error = error
        self.path = path
        where = "" if path is None else f" at {path!r}"
        super().__init__(f"{kind} {id!r} (version {version}): the {direction} of step {step} failed{where}: {error}")


class DowngradeFailedError(UpgradeFailedError):
    """A step could not bring a row back to the version before it; the stored row is unchanged."""

    def __init__(
        self,
        *,
        kind: str,
        id: Any,
        version: int,
        step: int,
        error: str,
        path: str | None = None,
    ) -> None:
        super().__init__(kind=kind, id=id, version=version, step=step, error=error, path=path, direction="downgrade")


class InvalidDocumentError(DocumentError):
    """A row at the latest shape does not fit the model; `problems` names field paths and pydantic error types."""

    def __init__(self, *, kind: str, id: Any, version: int, problems: Sequence[str]) -> None:
        self.kind = kind
        self.id = id
        self.version = version
        self.problems = tuple(problems)
        super().__init__(f"{kind} {id!r} (stored at version {version}) does not fit the model: {'; '.join(problems)}")


class UnstorableValueError(DocumentError):
    """A value cannot be stored as BSON; nothing was written. Carries the field path and the value's type."""

    def __init__(self, *, kind: str, path: str, found: str) -> None:
        self.kind = kind
        self.path = path
        self.found = found
        super().__init__(
            f"{kind} cannot be stored: {path!r} holds {found}, which BSON has no place for",
            advice="convert it, give the field a serializer, or use one of docstore's annotated types",
        )


# --- the database, or what was asked of it ----------------------------------------------------------------------


class StoreError(DocstoreError):
    """The database, or what was asked of it, is at fault."""


class StoreUnavailableError(StoreError):
    """The database could not be reached, or did not answer in time; the same call may succeed later."""

    def __init__(self, *, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the database is not reachable: {reason}")


class StoreRejectedError(StoreError):
    """The database answered, and refused; the same call will be refused again."""

    def __init__(self, *, reason: str, code: int | None = None) -> None:
        self.reason = reason
        self.code = code
        suffix = "" if code is None else f" (code {code})"
        super().__init__(f"the database refused the call: {reason}{suffix}")


class InvalidUriError(StoreError):
    """A connection string cannot be used; it is shown without its password."""

    def __init__(self, *, uri: str, reason: str) -> None:
        self.uri = uri
        self.reason = reason
        super().__init__(f"the URI {uri!r} cannot be used: {reason}")


class DocumentNotFoundError(StoreError):
    """No row has this id."""

    def __init__(self, *, kind: str, id: Any) -> None:
        self.kind = kind
        self.id = id
        super().__init__(f"there is no {kind} {id!r}")


class DocumentExistsError(StoreError):
    """A unique index (most often the id) already has such a row; `index` names it where the server tells."""

    def __init__(self, *, kind: str, id: Any, index: str | None = None) -> None:
        self.kind = kind
        self.id = id
        self.index = index
        which = "" if index is None else f" (index {index!r})"
        super().__init__(f"{kind} {id!r} cannot be stored: a row with the same unique key exists{which}")


class ConflictError(StoreError):
    """The row changed (or went) since it was read; nothing was written."""

    def __init__(self, *, kind: str, id: Any, tries: int = 1) -> None:
        self.kind = kind
        self.id = id
        self.tries = tries
        often = "" if tries == 1 else f" (tried {tries} times)"
        super().__init__(
            f"{kind} {id!r} changed since it was read{often}",
            advice="read it again and repeat the change, or use modify(), which does both",
        )


class UnguardedReplaceError(StoreError):
    """An object that was never read through the store cannot be replaced with a guard."""

    def __init__(self, *, kind: str, id: Any) -> None:
        self.kind = kind
        self.id = id
        super().__init__(
            f"{kind} {id!r} was not read through this store, so nothing tells whether the stored row changed",
            advice="use insert() for a new row, replace(if_token=...) with a token, or replace(unguarded=True)",
        )


class UpdateRefusedError(StoreError):
    """An update was asked for that could break a promise; nothing was written."""

    def __init__(self, *, kind: str, reason: str) -> None:
        self.kind = kind
        self.reason = reason
        super().__init__(f"the update of {kind} is refused: {reason}")


class QueryRefusedError(StoreError):
    """
    A query was asked that docstore cannot answer, whatever is stored.
    """

    def __init__(self, *, kind: str, reason: str, advice: str | None = None) -> None:
        self.kind = kind
        self.reason = reason
        super().__init__(f"the query of {kind} is refused: {reason}", advice=advice)


class StaleQueryError(StoreError):
    """
    A query names paths that a step changes while old rows are stored, and those rows cannot be brought along.

    Carries the paths, the stored versions below latest, and how many rows stand there.
    """

    def __init__(self, *, kind: str, paths: Sequence[str], versions: Sequence[int], rows: int, reason: str) -> None:
        self.kind = kind
        self.paths = tuple(paths)
        self.versions = tuple(versions)
        self.rows = rows
        self.reason = reason
        super().__init__(
            f"a query of {kind} on {', '.join(map(repr, self.paths))} would miss rows: {rows} rows are stored at "
            f"version {', '.join(map(str, self.versions))}, and {reason}",
            advice=f"run `docstore backfill start {kind} --wait`, or query on paths that no step changes",
        )


# --- the rest ---------------------------------------------------------------------------------------------------


class VersionRangeError(DocstoreError, ValueError):
    """A version was asked for that lies outside what the kind reads and writes."""

    def __init__(self, *, kind: str, asked: int, floor: int, latest: int, reason: str = "") -> None:
        self.kind = kind
        self.asked = asked
        self.floor = floor
        self.latest = latest
        self.reason = reason
        super().__init__(
            f"version {asked} of {kind} was asked for, which {reason or f'lies outside {floor} to {latest}'}"
        )


class BackfillRefusedError(DocstoreError):
    """A backfill was asked for that a gate does not let begin; no row was touched."""

    def __init__(self, *, kind: str, reason: str, advice: str | None = None) -> None:
        self.kind = kind
        self.reason = reason
        super().__init__(f"the backfill of {kind} is refused: {reason}", advice=advice)


class EmbeddedServerError(DocstoreError):
    """A private mongod could not be found or started."""

    def __init__(self, *, reason: str, missing_libraries: Sequence[str] = (), advice: str | None = None) -> None:
        self.reason = reason
        self.missing_libraries = tuple(missing_libraries)
        super().__init__(reason, advice=advice)
