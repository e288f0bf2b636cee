"""
From the bytes of old rows to rewrites, and to the errors of the rows that cannot be upgraded. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from docstore.backfill.validation import Validation
from docstore.core.bson_values import RawDocument, copied
from docstore.core.failed_row import FailedRow
from docstore.core.kind import Kind
from docstore.core.residue import RESIDUE
from docstore.core.row_faults import decoded, refused
from docstore.errors import DocumentError, NewerVersionError, UpgradeFailedError
from docstore.mongo.batch_writing import BatchWriter, Rewrite


@dataclass(slots=True)
class Upgraded:
    """
    What became of a page of rows; every row is in one of the three.
    """

    rewrites: list[Rewrite] = field(default_factory=list)
    #: The rows that cannot be rewritten.
    poison: list[FailedRow] = field(default_factory=list)
    #: Rows that need nothing: they stand at the target, or the run is not about them.
    untouched: int = 0

    @property
    def met(self) -> int:
        """
        All of the rows.
        """
        return len(self.rewrites) + len(self.poison) + self.untouched


@dataclass(frozen=True, slots=True)
class _Way:
    """
    How rows of one version get to the target: what the steps may change (None: anything).
    """

    fields: tuple[str, ...] | None
    runs_functions: bool


class Upgrader:
    """
    Brings old rows of a kind to a version and prepares their guarded rewrites.

    A row that reaches latest has to fit the model, unless *validation* says otherwise. Nothing is written, and one
    row's fault is only its own.
    """

    def __init__(self, kind: Kind[Any], target: int, writer: BatchWriter, validation: Validation | None = None) -> None:
        self._kind = kind
        self._target = target
        self._writer = writer
        self._ways: dict[int, _Way] = {}
        self._reaches_model = target == kind.latest
        self._validation = validation

    def upgrade(self, rows: Iterable[bytes], upgraded: Upgraded) -> None:
        """
        Prepare the rewrites of rows, and add what became of each row to *upgraded*.
        """
        for raw in rows:
            try:
                rewrite = self._rewrite(raw)
            except NewerVersionError:
                # Only `detect` finds those here; the code that knows their version takes care of them.
                upgraded.untouched += 1
            except DocumentError as error:
                upgraded.poison.append(FailedRow.of(error, raw))
            else:
                if rewrite is None:
                    upgraded.untouched += 1
                else:
                    upgraded.rewrites.append(rewrite)

    def _rewrite(self, raw: bytes) -> Rewrite | None:
        """
        Return what is to be done to one row, or None if it needs nothing.
        """
        kind, target = self._kind, self._target
        row = decoded(raw, kind)
        version = row.get(kind.version_field)
        # Nearly all rows have an ordinary tag; the kind knows about the others.
        if type(version) is not int or not kind.floor <= version < target:
            untagged = version is None
            version = kind.version(row)
            if version > target or (version == target and not untagged):
                return None
        way = self._ways.get(version) or self._way(version)
        before = self._before(row, way)
        row_id = row.get("_id")
        row = kind.chain.lift(row, version, target)
        # Encoded before the model sees the row: its validators are the user's and may change what they are given.
        rewrite = self._prepared(raw, row, way, before, version=version, row_id=row_id)
        if self._reaches_model and (self._validation is None or self._validation.checks(row_id)):
            self._check(row, version)
        return rewrite

    def _prepared(
        self, raw: bytes, row: RawDocument, way: _Way, before: RawDocument, *, version: int, row_id: Any
    ) -> Rewrite:
        try:
            return self._writer.prepare(raw, row, way.fields, before)
        except Exception as error:
            reason = f"its result cannot be stored: {type(error).__name__}"
            raise UpgradeFailedError(
                kind=self._kind.name, id=row_id, version=version, step=self._target, error=reason
            ) from error

    def _before(self, row: RawDocument, way: _Way) -> RawDocument:
        """
        Return the fields that may change, out of reach of functions that change values in place.
        """
        before = dict(row) if way.fields is None else {name: row[name] for name in way.fields if name in row}
        return copied(before) if way.runs_functions else before

    def _check(self, row: RawDocument, version: int) -> None:
        kind = self._kind
        del row[kind.version_field]
        if RESIDUE in row:
            del row[RESIDUE]
        try:
            kind.model.__pydantic_validator__.validate_python(row)
        except Exception as error:
            raise refused(error, kind=kind, row=row, version=version) from error

    def _way(self, version: int) -> _Way:
        low, high = sorted((version, self._target))
        writes = self._kind.writes(low, high)
        fields = None
        if writes is not None:
            fields = tuple(dict.fromkeys((self._kind.version_field, *sorted(path[0] for path in writes), RESIDUE)))
        way = _Way(fields=fields, runs_functions=self._kind.chain.runs_functions(low, high))
        self._ways[version] = way
        return way
