"""
`docstore views`, in this process against a real server.
"""

import datetime
from pathlib import Path

import pytest

from tests.integration.cli.conftest import CommandLine

KINDS = """
from docstore import Document, Kind, Step
from docstore import operations as ops


class Note(Document):
    text: str


note = Kind(
    "note",
    collection="notes",
    model=Note,
    steps=[Step(ops.RenameField("body", "text"), to=2), Step(ops.AddField("pinned", False), to=3)],
)
"""


@pytest.fixture
def notes(command_line: CommandLine, tmp_path: Path) -> CommandLine:
    (tmp_path / command_line.package / "notes.py").write_text(KINDS)
    return command_line


def test_views_are_made_listed_and_dropped(notes: CommandLine) -> None:
    notes.database["notes"].insert_one({"_id": 1, "schema_version": 1, "body": "a"})

    made = notes.run("views", "sync", "note", "--versions", "1", "--format", "json")
    assert made.code == 0
    assert [(view["view"], view["state"]) for view in made.json] == [("notes_v1", "created"), ("notes_v3", "created")]
    assert notes.database["notes_v3"].find_one() == {"_id": 1, "schema_version": 3, "text": "a", "pinned": False}
    listed = notes.run("views", "list", "note")
    assert listed.code == 0
    assert "notes_v1" in listed.output
    assert "current" in listed.output
    assert notes.run("views", "drop", "note", "--versions", "1").code == 0
    assert [view["version"] for view in notes.run("views", "list", "note", "--format", "json").json] == [3]


def test_versions_that_clients_ask_for_are_found(notes: CommandLine) -> None:
    now = datetime.datetime.now(datetime.UTC)
    asked = {"asked": "note", "version": 2, "day": now.date().isoformat()}
    record = {"what": "client_version", "kind": "note", "version": 2, "day": asked["day"], "asks": 1, "last_asked": now}
    notes.database["docstore_history"].insert_one({"_id": asked, "schema_version": 1, **record})

    made = notes.run("views", "sync", "note", "--format", "json")

    assert made.code == 0
    assert [(view["version"], view["state"], view["readers"]) for view in made.json] == [
        (2, "created", ["clients"]),
        (3, "created", ["latest"]),
    ]
    assert "clients" in notes.run("views", "list", "note").output


def test_what_docstore_did_not_make_is_refused_with_exit_code_3(notes: CommandLine) -> None:
    notes.database["notes_v3"].insert_one({"_id": 1})

    refused = notes.run("views", "sync", "note")

    assert refused.code == 3
    assert "notes_v3" in refused.errors
    assert notes.database["notes_v3"].count_documents({}) == 1


def test_a_step_of_functions_is_refused_with_exit_code_3(notes: CommandLine) -> None:
    notes.database["places"].insert_one({"_id": 1, "schema_version": 1, "title": "a"})

    refused = notes.run("views", "sync", "place")

    assert refused.code == 3
    assert "step 3" in refused.errors


@pytest.mark.parametrize("versions", ["x", "1,,2", "", "-1", "9"])
def test_versions_that_are_none_end_with_exit_code_2(notes: CommandLine, versions: str) -> None:
    assert notes.run("views", "sync", "note", "--versions", versions).code == 2
    assert notes.database.list_collection_names() == []
