"""
What a node writes down is read back as it was, whatever BSON it holds, and also where the writer was killed.
"""

import datetime
import uuid
from pathlib import Path

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

from docstore.core.bson_values import identical
from docstore.drill.journal import Act, Entry, Journal, read_journal, read_rows, write_rows

VALUES = {
    "int": 1,
    "long": Int64(1),
    "double": 1.0,
    "decimal": Decimal128("1.00"),
    "text": "Ærø",
    "bytes": b"\x00",
    "date": datetime.datetime(2026, 1, 2, 3, 4, 5, 6000),  # noqa: DTZ001 - naive is UTC in BSON
    "id": ObjectId(),
    "null": None,
    "nested": {"list": [1, {"x": 1.5}], "flag": False},
}


def test_an_entry_comes_back_with_the_same_bson(tmp_path: Path) -> None:
    entry = Entry("old", Act.CHANGE, uuid.UUID(int=7), 2, 3, {"a": 1}, VALUES)
    with Journal(tmp_path / "journal") as journal:
        journal.write(entry)

    (found,) = read_journal(tmp_path / "journal")

    assert (found.node, found.act, found.shape, found.revision, found.doubtful) == ("old", Act.CHANGE, 2, 3, False)
    assert identical(found.id, entry.id)
    assert identical(found.after, VALUES)


@pytest.mark.parametrize("row_id", [0, None, "", False, {"a": 1}])
def test_ids_that_look_like_nothing_are_kept(tmp_path: Path, row_id: object) -> None:
    with Journal(tmp_path / "journal") as journal:
        journal.write(Entry("new", Act.DELETE, row_id, 1))

    (found,) = read_journal(tmp_path / "journal")

    assert identical(found.id, row_id)


def test_every_entry_is_on_disk_before_the_next_write_and_a_torn_line_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    journal = Journal(file)
    journal.write(Entry("new", Act.DELETE, 1, 1))
    journal.write(Entry("new", Act.DELETE, 2, 1))

    assert [entry.id for entry in read_journal(file)] == [1, 2]

    with journal:
        pass
    file.write_text(file.read_text() + '{"node": "new", "act": "del')
    assert [entry.id for entry in read_journal(file)] == [1, 2]


def test_rows_come_back_with_the_same_bson(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows", [VALUES, {"_id": 1}])

    rows = read_rows(tmp_path / "rows")

    assert [identical(found, given) for found, given in zip(rows, [VALUES, {"_id": 1}], strict=True)] == [True, True]
