import json
from typing import Any

from pymongo.database import Database

from tests.acceptance.conftest import Docstore

Rows = Database[dict[str, Any]]


def fill(rows: Rows, *versions: Any) -> None:
    rows["notes"].insert_many([{"_id": number, "schema_version": tag} for number, tag in enumerate(versions)])


def test_json_is_alone_on_stdout_and_has_the_fields_that_were_promised(docstore: Docstore, rows: Rows) -> None:
    fill(rows, 1, 1, 3, 4, "x", None)

    done = docstore("-v", "coverage", "--format", "json")

    (report,) = json.loads(done.stdout)
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert report.pop("counted_at").endswith("Z")
    assert report == {
        "kind": "note",
        "collection": "notes",
        "latest": 3,
        "floor": 1,
        "write_version": None,
        "total": 6,
        "versions": [{"version": 1, "rows": 2}, {"version": 3, "rows": 1}, {"version": 4, "rows": 1}],
        "untagged": 1,
        "unreadable": 1,
        "newer": 1,
        "quarantined": 0,
        "coverage": 1 / 6,
        "exact": True,
        "retirable_below": None,
        "blockers": ["2 rows at version 1", "1 row without a tag", "1 row whose tag is no positive integer"],
        "client_versions": [],
    }


def test_the_table_shows_every_version_and_neither_colours_nor_control_characters(
    docstore: Docstore, rows: Rows
) -> None:
    fill(rows, 1, 3, 3, 4, "x")

    done = docstore("coverage")

    assert done.returncode == 0
    assert "note in notes: 5 rows, 40.0 % at version 3" in done.stdout
    for label in ("1", "3 (latest)", "4 (newer)", "unreadable"):
        assert any(line.split("  ")[0].strip() == label for line in done.stdout.splitlines())
    assert "\x1b" not in done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_a_missing_index_is_told_and_built_on_demand(docstore: Docstore, rows: Rows) -> None:
    fill(rows, 3)

    missing = docstore("coverage")
    built = docstore("coverage", "--create-index")
    there = docstore("coverage")

    assert "docstore coverage note --create-index" in missing.stderr
    assert "building the (tag, _id) index" in built.stderr
    assert there.stderr == ""
    assert "docstore_schema_version" in rows["notes"].index_information()


def test_rows_below_the_required_version_leave_with_3(docstore: Docstore, rows: Rows) -> None:
    fill(rows, 2, 3)

    below = docstore("coverage", "note", "--require", "3")
    enough = docstore("coverage", "note", "--require", "2")

    assert (below.returncode, enough.returncode) == (3, 0)
    assert "error: 1 row stands below version 3 of note\nhint: docstore backfill start note --wait\n" in below.stderr
    assert "note in notes" in below.stdout


def test_options_may_stand_before_the_command_or_after_it(docstore: Docstore, rows: Rows, mongod_uri: str) -> None:
    fill(rows, 3)
    nothing = {"DOCSTORE_URI": "", "DOCSTORE_DATABASE": ""}

    before = docstore("--uri", mongod_uri, "--database", rows.name, "coverage", "--format", "json", **nothing)
    after = docstore("coverage", "--format", "json", "--uri", mongod_uri, "--database", rows.name, **nothing)
    typed_wins = docstore("coverage", "--format", "json", "--database", rows.name, DOCSTORE_DATABASE="elsewhere")

    assert [json.loads(done.stdout)[0]["total"] for done in (before, after, typed_wins)] == [1, 1, 1]


def test_the_uri_may_name_the_database(docstore: Docstore, rows: Rows, mongod_uri: str) -> None:
    fill(rows, 3)

    uri = mongod_uri.replace("/?", f"/{rows.name}?")

    named = docstore("coverage", "--format", "json", DOCSTORE_URI=uri, DOCSTORE_DATABASE="")

    assert json.loads(named.stdout)[0]["total"] == 1


def test_a_reader_that_goes_away_makes_no_traceback(start: Any, rows: Rows) -> None:
    fill(rows, 3)

    with start("coverage") as process:
        process.stdout.close()
        errors = process.stderr.read()

    assert "Traceback" not in errors
    assert "Exception" not in errors
