"""Reading a part of each row: the fields that a model of the caller's names."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from pydantic import AliasChoices, AliasPath, BaseModel

from docstore.core.bson_values import RawDocument
from docstore.core.kind import Kind
from docstore.core.newer_steps import at_latest, changing, standing
from docstore.core.residue import RESIDUE
from docstore.core.row_faults import decoded, refused
from docstore.errors import DocumentError
from docstore.store.rows import decoded_parts

P = TypeVar("P", bound=BaseModel)


class ProjectionReader(Generic[P]):
    """
    Brings rows of one kind to the latest shape and the fields that a model names into that model.

    The model sees the fields that it names (all of them where it keeps extras). What is returned does not remember
    the row, so it cannot be written back.

    *fields* are what the server has to send for it: all fields (None) unless none of the model's is changed by a
    step, so that rows need not be upgraded for it.
    """

    def __init__(self, kind: Kind[Any], model: type[P]) -> None:
        self._kind = kind
        self._model = model
        self._names = _stored_names(model)
        self.fields = self._fetched()

    def rows(self, batch: bytes, on_error: Callable[[DocumentError], None] | None = None) -> Iterator[P]:
        """Yield the objects of a batch of whole rows; see `RowReader.rows`."""
        return self._read(batch, on_error, self._upgraded)

    def parts(self, batch: bytes, on_error: Callable[[DocumentError], None] | None = None) -> Iterator[P]:
        """Yield the objects of a batch of rows of which only *fields* were fetched; see `RowReader.rows`."""
        return self._read(batch, on_error, self._checked)

    def _read(
        self,
        batch: bytes,
        on_error: Callable[[DocumentError], None] | None,
        prepare: Callable[[RawDocument], tuple[RawDocument, int]],
    ) -> Iterator[P]:
        validate = self._model.__pydantic_validator__.validate_python
        for raws, rows in decoded_parts(batch):
            for raw, decoded_row in zip(raws, rows, strict=True):
                try:
                    row, version = prepare(decoded(raw, self._kind) if decoded_row is None else decoded_row)
                    try:
                        part: P = validate(self._cut(row))
                    except Exception as error:  # noqa: BLE001 - it is this row that is at fault
                        # The cause would show the row's values in every traceback.
                        raise refused(error, kind=self._kind, row=row, version=version) from None
                except DocumentError as error:
                    if on_error is None:
                        raise
                    on_error(error)
                else:
                    yield part

    def _upgraded(self, row: RawDocument) -> tuple[RawDocument, int]:
        version = standing(self._kind, row)
        if version > self._kind.latest:
            row = at_latest(self._kind, row)
        elif version < self._kind.latest:
            row = self._kind.chain.lift(row, version, self._kind.latest)
        return row, version

    def _checked(self, row: RawDocument) -> tuple[RawDocument, int]:
        version = standing(self._kind, row)
        # Whole rows are upgraded, the tag too.
        row[self._kind.version_field] = self._kind.latest
        return row, version

    def _cut(self, row: RawDocument) -> RawDocument:
        if self._names is None:
            return {name: value for name, value in row.items() if name not in {self._kind.version_field, RESIDUE}}
        return {name: row[name] for name in self._names if name in row}

    def _fetched(self) -> dict[str, int] | None:
        kind = self._kind
        if self._names is None or kind.detect is not None:
            return None
        writes = changing(kind)
        changed = writes is None or any(path[0] in self._names for path in writes)
        if changed or any("." in name or name.startswith("$") for name in self._names):
            return None
        return dict.fromkeys([*self._names, "_id", kind.version_field], 1)


def _stored_names(model: type[BaseModel]) -> frozenset[str] | None:
    """Return the top-level fields that a model looks at; None where it takes whatever there is."""
    if model.model_config.get("extra") == "allow":
        return None
    by_name = model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name")
    names: set[str] = set()
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
        names |= {str(each.path[0]) if isinstance(each, AliasPath) else each or name for each in choices}
        if by_name:
            names.add(name)
    return frozenset(names)
