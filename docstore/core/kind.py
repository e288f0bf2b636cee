"""A kind: a family of documents with one version line, in one collection."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from docstore.core.bson_values import RawDocument, copied
from docstore.core.chain import Chain, CompiledChain
from docstore.core.document import Document
from docstore.core.index_spec import Declared, IndexSpec, indexes_of
from docstore.core.kind_faults import ordered, settings_faults, step_faults
from docstore.core.lowering import lowered
from docstore.core.paths import FieldPath
from docstore.core.step import Step
from docstore.core.step_files import load_steps
from docstore.core.version import Detect, read_version
from docstore.errors import (
    KindDefinitionError,
    NewerVersionError,
    NotCompilableError,
    RetiredVersionError,
    StepContentError,
    VersionRangeError,
)

if TYPE_CHECKING:
    from docstore.core.newer_steps import NewerSteps

D = TypeVar("D", bound=Document)


class Kind(Generic[D]):
    """
    A family of documents: a model for the latest shape, and the chain of steps that leads there.

    Everything here is pure: nothing is read or written, arguments are never changed, and the same row gives the same
    result on every node.

    Args:
        name: What the kind is called in commands, logs and records.
        collection: Where the rows are; a collection belongs to one kind.
        model: The latest shape.
        steps: The steps, each with its `to`; or
        package: the name of a package with one step per file, `vNNNN_what.py`.
        version_field: The top-level field that holds the tag.
        baseline: The version of rows without a tag.
        floor: The lowest version that the code still reads; *baseline* unless said otherwise.
        detect: Tells the version of a row without a tag from its shape, instead of *baseline*.
        indexes: The indexes that each version's shape needs, as PyMongo takes them: a field, a list of (field,
            direction), a mapping, an `IndexModel`. Nothing builds them by itself; a rollout begins when they are there.

    Raises:
        KindDefinitionError: A group of every fault in the steps: gaps, duplicates, wrong file names, files that
            cannot be imported (file and line), ...
    """

    def __init__(
        self,
        name: str,
        *,
        collection: str,
        model: type[D],
        steps: Sequence[Step] = (),
        package: str | None = None,
        version_field: str = "schema_version",
        baseline: int = 1,
        floor: int | None = None,
        detect: Detect | None = None,
        indexes: Mapping[int, Sequence[Declared]] | None = None,
    ) -> None:
        self.name = name
        self.collection = collection
        self.model = model
        #: Where the step files are; None where the steps were given.
        self.package = package
        self.version_field = version_field
        self.baseline = baseline
        self.detect = detect
        self.floor = baseline if floor is None else floor
        faults = settings_faults(self)
        #: What was declared of indexes, by the version whose shape needs them.
        self.indexes: dict[int, tuple[IndexSpec, ...]] = {}
        try:
            self.indexes = indexes_of(indexes or {})
        except (TypeError, ValueError) as error:
            faults.append(StepContentError(reason=f"cannot use its indexes: they {error}", kind=name))
        located: list[tuple[Step, str]] = []
        for place, step in enumerate(steps, start=1):
            if isinstance(step, Step):
                located.append((step, f"the step at position {place}"))
            else:
                reason = f"was given a {type(step).__name__} for a Step (at position {place})"
                faults.append(StepContentError(reason=reason, kind=name))
        if package is not None:
            found, file_faults = load_steps(package, kind=name)
            located += found
            faults += file_faults
        faults += step_faults(name, version_field, located)
        lowest = self.floor if type(self.floor) is int else 0
        in_order, chain_faults = ordered(located, kind=name, floor=lowest, complete=not faults)
        faults += chain_faults
        if faults:
            raise KindDefinitionError(f"kind {name!r} cannot be used", faults, kind=name)
        self.chain = Chain(kind=name, field=version_field, floor=self.floor, steps=in_order)
        #: Steps above latest that others have published; see `core.newer_steps`.
        self.newer: NewerSteps | None = None

    @property
    def latest(self) -> int:
        """The highest version that the code knows."""
        return self.chain.latest

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps from floor to latest."""
        return self.chain.steps

    def version(self, raw: Mapping[str, Any]) -> int:
        """
        Return the version at which a row stands.

        Raises:
            UnknownVersionError: The tag is no positive integer.
            NewerVersionError: The row is above latest; carries both versions.
            RetiredVersionError: The row is below the floor; carries both versions.
        """
        version = read_version(
            raw, kind=self.name, field=self.version_field, baseline=self.baseline, detect=self.detect
        )
        if version > self.latest:
            raise NewerVersionError(kind=self.name, id=raw.get("_id"), found=version, latest=self.latest)
        if version < self.floor:
            raise RetiredVersionError(kind=self.name, id=raw.get("_id"), found=version, floor=self.floor)
        return version

    def upgrade(self, raw: Mapping[str, Any], *, to: int | None = None) -> RawDocument:
        """
        Return the row at version *to* (latest by default), tagged; a row that stands there comes back as a copy.

        What the row's residue keeps of the versions up to *to* is in its place again; see `lower`.

        Raises:
            VersionRangeError: *to* is below the row's version, or no version of the kind.
            UpgradeFailedError: A step failed; carries kind, id, version, step and the field path.
            NewerVersionError, RetiredVersionError, UnknownVersionError: See `version`.
        """
        target = self._target(to)
        version = self.version(raw)
        if target < version:
            raise self._range_error(target, f"lies below the row's version {version}: use downgrade")
        return self.chain.lift(self._owned(raw, version, target), version, target)

    def downgrade(self, raw: Mapping[str, Any], *, to: int, trimming: bool = False) -> RawDocument:
        """
        Return the row at the older version *to*, tagged; a row that stands there comes back as a copy.

        What that version has no place for is not in it: for a reader who knows no other. To store a row so, `lower` it.
        With *trimming* an operation whose way back would refuse a row for holding too much takes what fits: nodes of
        that version are shown such a row so.

        Raises:
            VersionRangeError: *to* is above the row's version, or no version of the kind.
            NotInvertibleError: A step on the way has no way back; carries operation, kind and version.
            DowngradeFailedError: A step failed; carries kind, id, version, step and the field path.
            NewerVersionError, RetiredVersionError, UnknownVersionError: See `version`.
        """
        target = self._target(to)
        version = self.version(raw)
        if target > version:
            raise self._range_error(target, f"lies above the row's version {version}: use upgrade")
        return self.chain.lower(self._owned(raw, target, version), version, target, trimming=trimming)

    def lower(self, raw: Mapping[str, Any], *, to: int) -> RawDocument:
        """
        Return the row as it is stored at the older version *to*: `upgrade` gives back what it was, as BSON.

        What that version has no place for is kept in the field `__docstore_residue`, which no model, query or step
        sees. Only the order of the fields at the top level may differ afterwards, and the number type of the tag.

        Raises:
            VersionRangeError: *to* is above the row's version, or no version of the kind.
            NotExpressibleError: That version can have no such row, whatever is kept beside it; carries kind, version,
                step and path.
            DowngradeFailedError: A step has no way back or failed; carries kind, id, version, step and the field path.
            NewerVersionError, RetiredVersionError, UnknownVersionError: See `version`.
        """
        target = self._target(to)
        version = self.version(raw)
        if target > version:
            raise self._range_error(target, f"lies above the row's version {version}: use upgrade")
        return lowered(self.chain, self._owned(raw, target, version), version, target)

    def compile(self, source: int | None, *, to: int | None = None) -> CompiledChain:
        """
        Return the way from *source* (None: untagged) to *to* as the server runs it.

        Raises:
            NotCompilableError: A step on the way cannot run on the server, or *detect* decides in Python.
            NotInvertibleError: The way leads down and a step has no way back.
        """
        if source is None and self.detect is not None:
            raise NotCompilableError(operation="an untagged row", reason="detect() tells its version in Python")
        return self.chain.compile(source, self._target(to), baseline=self.baseline)

    def writes(self, low: int, high: int) -> frozenset[FieldPath] | None:
        """Return every path that the steps between two versions may change; None stands for any path."""
        return self.chain.writes(low, high)

    def copy(self) -> Self:
        """Return a kind of the same definition."""
        return copy(self)

    def _owned(self, raw: Mapping[str, Any], low: int, high: int) -> RawDocument:
        # Operations replace nested values, functions may change them in place.
        return copied(raw) if self.chain.runs_functions(low, high) else dict(raw)

    def _target(self, to: int | None) -> int:
        if to is None:
            return self.latest
        if type(to) is not int or not self.floor <= to <= self.latest:
            raise self._range_error(to)
        return to

    def _range_error(self, asked: int, reason: str = "") -> VersionRangeError:
        return VersionRangeError(kind=self.name, asked=asked, floor=self.floor, latest=self.latest, reason=reason)

    def __repr__(self) -> str:
        return f"Kind({self.name!r}, collection={self.collection!r}, floor={self.floor}, latest={self.latest})"
