"""
What can be wrong with the definition of a kind: its settings, its steps, and how they follow each other.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import AliasChoices, AliasPath

from docstore.core.document import Document
from docstore.core.paths import FieldPath
from docstore.core.residue import RESIDUE
from docstore.core.step import Step
from docstore.errors import DefinitionError, DuplicateStepError, StepContentError, VersionGapError

if TYPE_CHECKING:
    from docstore.core.kind import Kind


def settings_faults(kind: "Kind[Any]") -> list[DefinitionError]:
    """
    Return what is wrong with the settings of a kind, apart from its steps.
    """
    faults: list[DefinitionError] = []

    def fault(reason: str) -> None:
        faults.append(StepContentError(reason=reason, kind=kind.name))

    if not isinstance(kind.name, str) or not kind.name:
        fault("needs a name")
    if not _is_collection_name(kind.collection):
        fault(f"cannot be stored in {kind.collection!r}, which is no name for a collection")
    if not (isinstance(kind.model, type) and issubclass(kind.model, Document)):
        fault("cannot be read into its model, which is no docstore.Document")
    elif kind.version_field in _names_in_rows(kind.model):
        fault(f"would write the tag {kind.version_field!r} over a field of the model")
    if not _is_plain_field(kind.version_field):
        fault(f"cannot be tagged in {kind.version_field!r}: the tag is a plain top-level field")
    if RESIDUE in {kind.version_field, *_model_names(kind.model)}:
        fault(f"uses the field {RESIDUE!r}, which is docstore's own")
    if kind.detect is not None and not callable(kind.detect):
        fault(f"was given a {type(kind.detect).__name__} as detect, which is no function")
    for reason in _beginning_faults(kind.baseline, kind.floor):
        fault(reason)
    return faults


def _beginning_faults(baseline: Any, floor: Any) -> list[str]:
    if type(baseline) is not int or type(floor) is not int:
        return [f"cannot begin at version {baseline!r} or {floor!r}: versions are whole numbers"]
    reasons = [f"cannot begin at version {baseline}: versions are positive"] if baseline < 1 else []
    return reasons + ([f"has its floor {floor} below its baseline {baseline}"] if floor < baseline else [])


def _is_collection_name(name: Any) -> bool:
    if not isinstance(name, str) or not name or name.startswith((".", "system.")):
        return False
    return not name.endswith(".") and not any(part in name for part in ("$", "\0", ".."))


def _is_plain_field(name: Any) -> bool:
    if not isinstance(name, str) or name in {"", "_id"} or name.startswith("$"):
        return False
    return "." not in name and "\0" not in name


def _model_names(model: Any) -> set[str]:
    return _names_in_rows(model) if isinstance(model, type) and issubclass(model, Document) else set()


def _names_in_rows(model: type[Document]) -> set[str]:
    """Return every top-level name under which a model reads or stores one of its fields."""
    names = set(model.model_fields)
    for field in model.model_fields.values():
        read = field.validation_alias
        choices = read.choices if isinstance(read, AliasChoices) else [read]
        names |= {str(choice.path[0]) if isinstance(choice, AliasPath) else str(choice) for choice in choices if choice}
        names |= {field.serialization_alias} if field.serialization_alias else set()
    return names


def step_faults(kind: str, field: str, located: Sequence[tuple[Step, str]]) -> list[DefinitionError]:
    """
    Return the faults of steps that touch what docstore writes.
    """
    return [
        StepContentError(reason=f"touches {what} {name!r}, which docstore writes ({where})", kind=kind, version=step.to)
        for name, what in ((field, "the tag"), (RESIDUE, "the residue"))
        for step, where in located
        if any(path[:1] == (name,) for path in {*(step.writes or ()), *_reads(step)})
    ]


def _reads(step: Step) -> Iterator[FieldPath]:
    return (path for operation in step.operations for path in operation.reads)


def ordered(
    located: Sequence[tuple[Step, str]], *, kind: str, floor: int, complete: bool
) -> tuple[list[Step], list[DefinitionError]]:
    """Return the steps in order and the faults of the chain; gaps are only told where every file could be read."""
    faults: list[DefinitionError] = []
    by_version: dict[int, tuple[Step, str]] = {}
    for step, where in located:
        if step.to is None:
            faults.append(StepContentError(reason=f"has no version: {where} needs to=", kind=kind))
        elif step.to <= floor:
            faults.append(
                StepContentError(
                    reason=f"produces nothing that is read: the floor is {floor} ({where})",
                    kind=kind,
                    version=step.to,
                    advice="delete it, or move its file into retired/ beside it; before "
                    f"floor={floor} stands in the code, `docstore retire {kind} --below {floor} --archive` does so",
                )
            )
        elif step.to in by_version:
            first = by_version[step.to][1]
            faults.append(DuplicateStepError(kind=kind, version=step.to, first=first, second=where))
        else:
            by_version[step.to] = (step, where)
    latest = max(by_version, default=floor)
    missing = [version for version in range(floor + 1, latest) if version not in by_version]
    if missing and complete:
        faults.append(VersionGapError(kind=kind, missing=missing))
    return [by_version[version][0] for version in sorted(by_version)], faults
