"""
Keeping retired steps: moved into the sub-package `retired`, which no service imports.

    upgraders/city/v0002_full_name.py   ->   upgraders/city/retired/v0002_full_name.py

`backfill start --with-retired` lifts rows of a restored backup by them.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from docstore.core.retired_steps import RETIRED
from docstore.errors import StepFileError

_WORDS: Final = (
    '"""\nSteps below the floor, for rows of a restored backup: `docstore backfill start KIND --with-retired`.\n"""\n'
)


def archive(files: Iterable[Path], *, kind: str) -> tuple[Path, ...]:
    """
    Move step files into `retired/` beside them; return where they are then. May be repeated.

    Raises:
        StepFileError: A file of that name is archived already, with other content, or the folder cannot be written to;
            that one was not moved, and what was moved before stays so.
    """
    moved = []
    for file in files:
        try:
            moved.append(_moved(file, kind=kind))
        except OSError as error:
            reason = f"it cannot be moved to {RETIRED}/{file.name}: {error.strerror or error}"
            raise StepFileError(kind=kind, file=str(file), line=None, reason=reason) from error
    return tuple(moved)


def _moved(file: Path, *, kind: str) -> Path:
    folder = file.parent / RETIRED
    folder.mkdir(exist_ok=True)
    init = folder / "__init__.py"
    if not init.exists():
        init.write_text(_WORDS, encoding="utf-8")
    place = folder / file.name
    if place.exists() and place.read_bytes() != file.read_bytes():
        reason = f"{RETIRED}/{file.name} is there already, with other content"
        raise StepFileError(kind=kind, file=str(file), line=None, reason=reason)
    # In one moment: a file is never at both places, nor at none.
    return file.replace(place)
