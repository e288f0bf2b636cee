"""
Ids from a file, one on a line.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from docstore.cli.running import usage_fault
from docstore.core.extended_json import id_from_line

#: Stands for standard input.
STDIN: Final = "-"


@dataclass(frozen=True, slots=True)
class Rows:
    """
    The rows that a run is to be limited to: by id, so many at random, or not at all.
    """

    ids: Sequence[Any] | None
    sample: int | None


def ids_from(file: str) -> list[Any]:
    """
    Return the ids in a file (`-`: on standard input), one line of Extended JSON for each; empty lines are left out.

    Raises:
        typer.Exit: The file cannot be read, a line is no id, or there is none; the user has been told.
    """
    ids: list[Any] = []
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():
            continue
        try:
            ids.append(id_from_line(line))
        except ValueError as error:
            raise usage_fault(
                f"line {number} of {_named(file)} is no id: {error}",
                'each line is one id as Extended JSON: 5, "oslo", {"$oid": "65f0c2d4a1b2c3d4e5f60718"}',
            ) from None
    if not ids:
        raise usage_fault(f"there is no id in {_named(file)}", "write one id on each line, as Extended JSON")
    return ids


def _lines(file: str) -> Iterator[str]:
    try:
        if file == STDIN:
            yield from sys.stdin
        else:
            with Path(file).open(encoding="utf-8") as opened:
                yield from opened
    except OSError as error:
        raise usage_fault(f"{_named(file)} cannot be read: {error.strerror}", "see that it is there") from None
    except UnicodeDecodeError:
        raise usage_fault(f"{_named(file)} is no text in UTF-8", "write one id on each line") from None


def _named(file: str) -> str:
    return "standard input" if file == STDIN else file
