"""
`docstore backfill start --ids-from FILE` and `--sample N`, as they are typed.
"""

from pathlib import Path
from typing import Any

import pytest


def start(command_line: Any, *arguments: str) -> Any:
    return command_line.run("backfill", "start", "place", "--wait", *arguments, "--format", "json")


def test_the_rows_of_a_file_are_done_and_no_other(command_line: Any, tmp_path: Path) -> None:
    rows = [{"_id": each, "schema_version": 2, "name": "Oslo"} for each in (1, "1", 2, 3)]
    command_line.database.places.insert_many(rows)
    (tmp_path / "ids.txt").write_text('1\n\n"1"\n{"$numberLong": "3"}\n')

    done = start(command_line, "--ids-from", str(tmp_path / "ids.txt"))

    assert done.code == 0
    assert done.json["selection"] == {"ids": 3, "rows": 3, "missing": 0, "random": False}
    assert [row["_id"] for row in command_line.database.places.find({"schema_version": 2})] == [2]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"1\noslo\n", "line 2 of {file} is no id: it is not Extended JSON"),
        (b"[1, 2]\n", "line 1 of {file} is no id: an array or a regular expression cannot be an _id"),
        (b'{"$oid": "5"}\n', "line 1 of {file} is no id: it is not Extended JSON"),
        (b"99999999999999999999\n", "line 1 of {file} is no id: it is a number of more than 64 bits"),
        (b"\n \n", "there is no id in {file}"),
        (b"\xff\n", "{file} is no text in UTF-8"),
        (None, "{file} cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_holds_no_ids_is_a_usage_fault(
    command_line: Any, tmp_path: Path, text: bytes | None, error: str
) -> None:
    file = tmp_path / "ids.txt"
    if text is not None:
        file.write_bytes(text)

    done = start(command_line, "--ids-from", str(file))

    told, hint = done.errors.splitlines()
    assert done.code == 2
    assert told == f"error: {error.format(file=file)}"
    assert hint.startswith("hint: ")
    assert command_line.database.list_collection_names() == []


def test_ids_that_name_no_row_are_refused(command_line: Any, tmp_path: Path) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    (tmp_path / "ids.txt").write_text('"1"\n')

    done = start(command_line, "--ids-from", str(tmp_path / "ids.txt"))

    assert done.code == 3
    assert "the id names no row" in done.errors
    assert "ids are compared with their types" in done.errors


def test_a_sample_does_so_many_rows(command_line: Any) -> None:
    rows = [{"_id": each, "schema_version": 2, "name": "Oslo"} for each in range(9)]
    command_line.database.places.insert_many(rows)

    done = start(command_line, "--sample", "4")
    table = command_line.run("backfill", "status")

    assert (done.code, done.json["client"]) == (0, 4)
    assert command_line.database.places.count_documents({"schema_version": 3}) == 4
    assert "place to version 3, only 4 rows picked at random: succeeded" in table.output


def test_ids_and_a_sample_exclude_each_other(command_line: Any) -> None:
    done = start(command_line, "--ids-from", "-", "--sample", "4")

    assert done.code == 2
    assert "exclude each other" in done.errors


def test_a_dry_run_tries_the_rows_of_a_file(command_line: Any, tmp_path: Path) -> None:
    rows = [{"_id": each, "schema_version": 2, "name": "Oslo"} for each in range(9)]
    command_line.database.places.insert_many(rows)
    (tmp_path / "ids.txt").write_text("1\n2\n99\n")

    tried = command_line.run("backfill", "start", "place", "--dry-run", "--ids-from", str(tmp_path / "ids.txt"))

    assert tried.code == 0
    assert "place: 2 rows of those chosen below version 3; 2 looked at (1 of the ids name no row)" in tried.output
    assert command_line.database.list_collection_names() == ["places"]
