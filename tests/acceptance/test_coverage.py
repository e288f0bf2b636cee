import json
import signal
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
        "blockers": [
            "no node has ever worked with note, so nobody knows what is stored",
            "2 rows of note at version 1",
            "1 row of note with a tag that is no version",
            "1 row of note without a tag",
            "no count has shown that no row of note stands below version 3, for 48 h on end",
        ],
        "client_versions": [],
        "remaining": 4,
        "doubles": 0,
        "oldest_below": None,
        "recorded_floor": None,
        "bypassed": [],
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
    assert "(1 row, " in missing.stderr
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


def test_what_remains_is_counted_alone(docstore: Docstore, rows: Rows) -> None:
    fill(rows, 1, 1, 3, 3, 4, "x", None)
    docstore("coverage", "--create-index")

    table = docstore("coverage", "note", "--remaining")
    done = docstore("coverage", "note", "--remaining", "--format", "json", "--require", "2")

    (report,) = json.loads(done.stdout)
    assert "note in notes: 4 rows below version 3" in table.stdout
    assert done.returncode == 3
    assert "error: 4 rows stand below version 2 of note" in done.stderr
    assert report.pop("counted_at").endswith("Z")
    assert report == {
        "kind": "note",
        "collection": "notes",
        "latest": 3,
        "floor": 1,
        "write_version": None,
        "remaining": 4,
        "versions": [{"version": 1, "rows": 2}],
        "untagged": 1,
        "unreadable": 1,
        "quarantined": 0,
        "oldest_below": None,
        "exact": True,
    }


def test_prometheus_reads_the_counts(docstore: Docstore, rows: Rows) -> None:
    fill(rows, 1, 3, 3, 4, 5)

    done = docstore("coverage", "--format", "prometheus", "--majority")

    assert done.returncode == 0
    assert 'docstore_coverage_rows{kind="note",version="2"} 0.0' in done.stdout
    assert 'docstore_coverage_rows{kind="note",version="3"} 2.0' in done.stdout
    assert 'docstore_coverage_rows{kind="note",version="newer"} 2.0' in done.stdout
    assert 'docstore_coverage_remaining_rows{kind="note"} 1.0' in done.stdout
    assert 'docstore_coverage_ratio{kind="note"} 0.4' in done.stdout
    assert "docstore_coverage_write_version{" not in done.stdout


def test_a_watch_counts_again_until_it_is_told_to_end(start: Any, rows: Rows) -> None:
    fill(rows, 1, 3)

    with start("coverage", "note", "--remaining", "--watch", "--format", "json") as process:
        first = json.loads(process.stdout.readline())
        rows["notes"].delete_one({"schema_version": 1})
        while (later := json.loads(process.stdout.readline()))[0]["remaining"]:
            assert later[0]["remaining"] == first[0]["remaining"] == 1
        process.send_signal(signal.SIGINT)
        process.stdout.read()

    assert process.returncode == 0


def test_what_a_count_has_shown_is_kept_unless_that_is_not_wanted(docstore: Docstore, rows: Rows) -> None:
    fill(rows, 3)

    docstore("coverage", "--no-record")
    before = rows["docstore_coverage"].count_documents({})
    docstore("coverage")

    assert before == 0
    assert rows["docstore_coverage"].count_documents({"kind": "note"}) == 2


def test_a_watch_that_is_to_decide_is_a_usage_fault(docstore: Docstore) -> None:
    decides = docstore("coverage", "note", "--watch", "--require", "2")
    scraped = docstore("coverage", "--watch", "--format", "prometheus")

    assert (decides.returncode, scraped.returncode) == (2, 2)
