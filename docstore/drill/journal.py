"""
What a node writes down about its writes, as lines of Extended JSON on disk.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bson import json_util
from bson.binary import UuidRepresentation
from bson.codec_options import DatetimeConversion
from bson.json_util import JSONMode, JSONOptions

from docstore.core.bson_values import RawDocument

_OPTIONS: Final = JSONOptions(
    json_mode=JSONMode.CANONICAL,
    tz_aware=False,
    uuid_representation=UuidRepresentation.STANDARD,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)

#: Counts the writes of a row: every write but a count raises it by one, within the same atomic write.
REVISION: Final = "drill_revision"
#: The sum of all counts of a row.
COUNT: Final = "drill_count"


class Act(StrEnum):
    """
    What a node did to a row.
    """

    INSERT = "insert"
    #: Read, changed, and stored under the guard: `before` and `after` hold the fields that differ.
    CHANGE = "change"
    #: Fields were set by an update operator: `after` holds them.
    SET = "set"
    #: Numbers were incremented: `after` holds by how much.
    ADD = "add"
    #: `COUNT` was incremented, by a write that does not raise the revision.
    COUNT = "count"
    DELETE = "delete"
    #: Nothing was written: the node read what must not be; `fault` says what.
    SAW = "saw"


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One write as its node knows it: acknowledged, or with an outcome that nobody knows.
    """

    node: str
    act: Act
    id: Any
    #: The version whose shape the fields have: the latest that the node knows.
    shape: int
    #: What the row's revision was afterwards; None where the write says nothing of it.
    revision: int | None = None
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    #: The database did not answer: it may have taken effect.
    doubtful: bool = False
    #: The class of the error that a read met, or `WENT_BACK`.
    fault: str | None = None


#: A read gave an earlier state of a row than the node had seen before.
WENT_BACK: Final = "WentBack"


class Journal:
    """
    Appends entries to a file; a context manager. Each entry is handed to the operating system before the next write.

    Args:
        file: Where to; it is made.
    """

    def __init__(self, file: Path) -> None:
        # One line at a time: what a killed process has acknowledged is in the file.
        self._lines = file.open("w", encoding="utf-8", buffering=1)

    def write(self, entry: Entry) -> None:
        """
        Append an entry.
        """
        self._lines.write(_line(entry) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()


def read_journal(file: Path) -> Iterator[Entry]:
    """
    Yield the entries of a file in order. A last line that its writer did not finish is left out.

    Raises:
        ValueError: A line is none of a journal.
    """
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield _entry(line)


def write_rows(file: Path, rows: Iterable[RawDocument]) -> None:
    """
    Write rows down, one on each line, as exactly as the journal.
    """
    with file.open("w", encoding="utf-8") as lines:
        lines.writelines(json_util.dumps(row, json_options=_OPTIONS) + "\n" for row in rows)


def read_rows(file: Path) -> list[RawDocument]:
    """
    Return the rows that `write_rows` wrote down.
    """
    with file.open(encoding="utf-8") as lines:
        return [json_util.loads(line, json_options=_OPTIONS) for line in lines]


def _line(entry: Entry) -> str:
    said = {name: getattr(entry, name) for name in Entry.__slots__}
    plain = {name: value for name, value in said.items() if name == "id" or value not in (None, False, {})}
    return json_util.dumps(plain, json_options=_OPTIONS)


def _entry(line: str) -> Entry:
    said = json_util.loads(line, json_options=_OPTIONS)
    return Entry(**{**said, "act": Act(said["act"]), "id": said.get("id")})
