"""
The rows that a drill begins with: golden rows or rows of a staging database, at the version before latest.
"""

import itertools
import sys
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from bson.binary import Binary
from bson.objectid import ObjectId

from docstore.core.bson_values import RawDocument, comparison_key, encode
from docstore.core.kind import Kind
from docstore.core.residue import RESIDUE
from docstore.errors import DocumentError, DrillRefusedError
from docstore.store.rows import RowReader
from docstore.testing.samples import read_samples

#: Where the ids of rows begin that a drill makes up, so that they do not meet those of real rows.
FIRST_NUMBER: Final = 2**40


@dataclass(frozen=True, slots=True)
class SampleRows:
    """
    Rows to begin with.
    """

    rows: tuple[RawDocument, ...]
    #: Rows that were left out because the new release cannot read them, or cannot bring them down and up again.
    left_out: int = 0


def prepared(kind: Kind[Any], rows: Iterable[RawDocument]) -> SampleRows:
    """
    Bring rows to where they stand before a flip: none above the version before latest, each with a tag.

    Rows that stand below stay there, but for the first one, so that the version before latest is the highest that is
    stored. Rows that the new release cannot read are left out, and so are those that do not come up again as they were.

    Args:
        kind: The kind of the new release.
        rows: As they are stored somewhere.
    """
    before = kind.latest - 1
    reader: RowReader[Any] = RowReader(kind)
    taken: list[RawDocument] = []
    left_out = 0
    for row in rows:
        try:
            version = kind.version(row)
            upper = kind.upgrade(row)
            if not taken or version > before or kind.version_field not in row:
                ready = kind.lower(upper, to=before)
            else:
                # A tag that is a double is no fault of the row, but it is normalised by whoever writes it next.
                ready = {**row, kind.version_field: version}
            reader.read(encode(ready))
            # What the old release sees has to be a row for it, and has to come up again.
            older = kind.lower(upper, to=before)
            older.pop(RESIDUE, None)
            kind.upgrade(older)
        except DocumentError:
            left_out += 1
            continue
        taken.append(ready)
    return SampleRows(tuple(taken), left_out)


def golden_rows(kind: Kind[Any]) -> list[RawDocument]:
    """
    Return the golden rows that stand beside the kind's model, in `samples/v0001/*.json` and so on.

    Raises:
        DrillRefusedError: There are none.
    """
    file = getattr(sys.modules.get(kind.model.__module__), "__file__", None)
    folder = None if file is None else Path(file).parent / "samples"
    advice = "write some down (docstore.testing.check_samples), or take rows of a staging database: --uri"
    if folder is None or not folder.is_dir():
        raise DrillRefusedError(kind=kind.name, reason="there are no golden rows beside its model", advice=advice)
    try:
        rows = [sample.row for sample in read_samples(folder)]
    except AssertionError as error:
        raise DrillRefusedError(kind=kind.name, reason=f"its golden rows cannot be read: {error}") from error
    if not rows:
        raise DrillRefusedError(kind=kind.name, reason=f"{folder} holds no rows", advice=advice)
    return rows


def multiplied(rows: Sequence[RawDocument], number: int) -> list[RawDocument]:
    """
    Return *number* rows: those given, each id once, then copies of them with ids of the same type.

    Where no such id can be made up (documents as ids, for example) there are fewer.
    """
    by_id = {comparison_key(row["_id"]): row for row in rows}
    result = list(by_id.values())[:number]
    for place, row in enumerate(itertools.cycle(list(result))):
        if len(result) >= number:
            break
        made = new_id(row["_id"], FIRST_NUMBER + place, chance=Random(place))  # noqa: S311 - the same every time
        if made is None:
            if place >= number:
                break
            continue
        result.append({**row, "_id": made})
    return result


def new_id(example: Any, number: int, *, chance: Random) -> Any:
    """
    Return an id of the same type as another one, or None for types of which none can be made up.

    Args:
        example: An id of the collection.
        number: Makes it unlike the others that one process makes up.
        chance: Makes it unlike those of other processes, where the type leaves room for that.
    """
    if isinstance(example, bool):
        return None
    if isinstance(example, int):
        return number
    if isinstance(example, ObjectId):
        return ObjectId(chance.randbytes(12))
    if isinstance(example, str):
        return f"drill-{number}"
    if isinstance(example, uuid.UUID):
        return uuid.UUID(bytes=chance.randbytes(16), version=4)
    if isinstance(example, Binary):
        return Binary(chance.randbytes(16), example.subtype)
    return None
