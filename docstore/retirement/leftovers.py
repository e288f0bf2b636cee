"""
What nobody needs any more once everything below a version is retired: files, fields of the model, indexes.

Nothing is deleted here, and nothing is looked up in a database.
"""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from docstore.core.index_spec import droppable
from docstore.core.kind import Kind
from docstore.core.operation import Operation
from docstore.core.origins import Gone
from docstore.core.paths import FieldPath, overlap_any

_STEP_FILE: Final = re.compile(r"v(?P<version>\d{4,})_[a-z0-9_]+\.py")
_SAMPLES: Final = re.compile(r"v(?P<version>\d{4,})")


class Leftovers(BaseModel):
    """
    What goes with the versions below one, in the code of a kind.
    """

    model_config = ConfigDict(frozen=True)

    #: What to set in the `Kind`: `floor=` this.
    floor: int
    #: The step files that may be deleted, or archived.
    files: tuple[str, ...]
    #: The steps that may be deleted, by the version that each produces; also those that are in no file.
    steps: tuple[int, ...]
    #: Fields of the model at which no row from that version on has anything: the steps that go took it away.
    fields: tuple[str, ...]
    #: The folders of golden rows below.
    samples: tuple[str, ...]
    #: The indexes that were declared for versions below alone, by name.
    indexes: tuple[str, ...]


def leftovers(kind: Kind[Any], below: int) -> Leftovers:
    """
    Return what may go once no row of a kind stands below a version.
    """
    files = step_files(kind, below)
    numbers = {int(match["version"]) for path in files if (match := _STEP_FILE.fullmatch(path.name))}
    return Leftovers(
        floor=below,
        files=tuple(map(_shown, files)),
        steps=tuple(sorted(numbers | {step.to for step in kind.steps if step.to is not None and step.to <= below})),
        fields=tuple(_fields(kind, below)),
        samples=tuple(map(_shown, _samples(kind, below))),
        indexes=tuple(index.name for index in droppable(kind.indexes, floor=below)),
    )


def folder_of(kind: Kind[Any]) -> Path | None:
    """
    Return the folder of the kind's step files; None where its steps are in no package.
    """
    if kind.package is None:
        return None
    try:
        spec = importlib.util.find_spec(kind.package)
    except (ImportError, ValueError):
        return None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]) if places else None


def step_files(kind: Kind[Any], below: int) -> tuple[Path, ...]:
    """
    Return the files of the steps that produce versions up to *below*, in order.
    """
    folder = folder_of(kind)
    if folder is None:
        return ()
    found = []
    for path in sorted(folder.glob("v*.py")):
        match = _STEP_FILE.fullmatch(path.name)
        if match is not None and int(match["version"]) <= below:
            found.append(path)
    return tuple(found)


def _samples(kind: Kind[Any], below: int) -> Iterator[Path]:
    folder = folder_of(kind)
    if folder is None or not (folder / "samples").is_dir():
        return
    for path in sorted((folder / "samples").iterdir()):
        match = _SAMPLES.fullmatch(path.name)
        if match is not None and path.is_dir() and int(match["version"]) < below:
            yield path


def _fields(kind: Kind[Any], below: int) -> Iterator[str]:
    """
    Give the fields of the model that a step up to *below* empties in every row, and no later one fills.
    """
    for name, field in kind.model.model_fields.items():
        stored = field.serialization_alias or name
        if stored != "_id" and _is_emptied((stored,), kind, below):
            yield name


def _is_emptied(path: FieldPath, kind: Kind[Any], below: int) -> bool:
    emptied = False
    for step in kind.steps:
        if step.to is not None and step.to <= below:
            for operation in step.operations:
                emptied = _is_gone(operation, path) or (emptied and not overlap_any(path, operation.writes))
            emptied = emptied and not (step.writes is None or (not step.operations and overlap_any(path, step.writes)))
        elif step.writes is None or overlap_any(path, step.writes):
            return False
    return emptied


def _is_gone(operation: Operation, path: FieldPath) -> bool:
    return isinstance(operation.origin(path), Gone)


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
