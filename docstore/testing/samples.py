"""
Golden rows: what is stored out there, one folder for each version.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bson import json_util
from bson.binary import UuidRepresentation
from bson.codec_options import DatetimeConversion
from bson.errors import BSONError
from bson.json_util import JSONMode, JSONOptions

from docstore.core.bson_values import RawDocument, decode, encode
from docstore.core.kind import Kind
from docstore.errors import DocumentError
from docstore.store.rows import RowReader

_OPTIONS: Final = JSONOptions(
    json_mode=JSONMode.CANONICAL,
    tz_aware=False,
    uuid_representation=UuidRepresentation.STANDARD,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """
    A golden row.

    Attributes:
        file: Where it is written down, in MongoDB's Extended JSON.
        version: The version that its folder states.
        row: The row as it is stored.
    """

    file: Path
    version: int
    row: RawDocument


def read_samples(folder: Path) -> Iterator[Sample]:
    """
    Yield the rows in `v0001/*.json`, `v0002/*.json`, ..., in order.

    Raises:
        AssertionError: A folder or a file there is none of these, or cannot be read; names it.
    """
    for version_folder in sorted(path for path in folder.iterdir() if path.is_dir()):
        number = version_folder.name.removeprefix("v")
        if not number.isdecimal() or version_folder.name != f"v{int(number):04d}":
            raise AssertionError(f"{version_folder}: a folder of samples is named v0001, v0002, ...")
        for file in sorted(version_folder.glob("*.json")):
            yield Sample(file, int(number), _read(file))


def check_samples(kind: Kind[Any], folder: Path) -> int:
    """
    Check that golden rows of every version come up to the latest shape, and that the model takes them.

    Returns:
        How many rows were checked.

    Raises:
        AssertionError: There is no row for a version from floor to latest, or a row stands at another version than its
            folder says, or it does not come up, or the model refuses it; names every such file and why.
    """
    reader: RowReader[Any] = RowReader(kind)
    faults: list[str] = []
    seen: set[int] = set()
    checked = 0
    for sample in read_samples(folder):
        checked += 1
        seen.add(sample.version)
        try:
            found = kind.version(sample.row)
            if found != sample.version:
                faults.append(f"{sample.file}: the row stands at version {found}")
            reader.read(encode(sample.row))
        except DocumentError as error:
            faults.append(f"{sample.file}: {error}")
    faults += [f"{folder}: no row of version {v}" for v in range(kind.floor, kind.latest + 1) if v not in seen]
    if faults:
        raise AssertionError("\n".join([f"{len(faults)} faults in the samples of {kind.name}:", *faults]))
    return checked


def _read(file: Path) -> RawDocument:
    try:
        row = json_util.loads(file.read_text(encoding="utf-8"), json_options=_OPTIONS)
        return decode(encode(row))
    except (BSONError, ValueError, TypeError) as error:
        raise AssertionError(f"{file}: no document in Extended JSON ({type(error).__name__})") from error
