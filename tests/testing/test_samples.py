"""
Golden rows: read as they are written, and every fault told at once.
"""

from pathlib import Path

import pytest
from bson.int64 import Int64

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.testing import check_samples, read_samples
from upgraders.city import city


class Note(Document):
    text: str


NOTE = Kind("note", collection="notes", model=Note, steps=[Step(ops.RenameField("body", "text"), to=2)])


def write(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_the_samples_of_the_city_kind_come_up() -> None:
    folder = Path(__file__).parents[2] / "upgraders" / "city" / "samples"

    assert check_samples(city, folder) == len(list(folder.glob("v*/*.json")))


def test_rows_are_read_with_their_types_and_versions(tmp_path: Path) -> None:
    write(tmp_path, "v0002/a.json", '{"_id": {"$numberLong": "5"}, "schema_version": 2, "text": "b"}')
    write(tmp_path, "v0001/a.json", '{"_id": 5, "at": {"$date": {"$numberLong": "1"}}, "body": "b"}')

    first, second = read_samples(tmp_path)

    assert (first.version, first.file.name, list(first.row)) == (1, "a.json", ["_id", "at", "body"])
    assert (second.version, type(second.row["_id"])) == (2, Int64)
    assert check_samples(NOTE, tmp_path) == 2


def test_every_fault_is_told_with_its_file(tmp_path: Path) -> None:
    write(tmp_path, "v0001/tagged.json", '{"_id": 1, "schema_version": 2, "text": "b"}')
    write(tmp_path, "v0001/refused.json", '{"_id": 1, "body": "b", "text": "b"}')
    write(tmp_path, "v0001/invalid.json", '{"_id": 1, "body": 5}')

    with pytest.raises(AssertionError) as caught:
        check_samples(NOTE, tmp_path)

    message = str(caught.value)
    assert "4 faults in the samples of note" in message
    assert "tagged.json: the row stands at version 2" in message
    assert "refused.json: note 1 (version 1): the upgrade of step 2 failed at 'text'" in message
    assert "invalid.json: note 1" in message
    assert "no row of version 2" in message


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"a": {"$oid": "x"}}', "5"])
def test_a_file_without_a_document_is_named(tmp_path: Path, text: str) -> None:
    write(tmp_path, "v0001/a.json", text)

    with pytest.raises(AssertionError, match=r"a\.json: no document in Extended JSON"):
        list(read_samples(tmp_path))


@pytest.mark.parametrize("name", ["v1", "0001", "v00x1"])
def test_a_folder_that_names_no_version_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()

    with pytest.raises(AssertionError, match="a folder of samples is named v0001"):
        list(read_samples(tmp_path))
