import json
import signal
import time
from typing import Any

import pytest
from pymongo.database import Database

from tests.acceptance.conftest import Docstore

Rows = Database[dict[str, Any]]

MANY = 20_000  # rows that keep a backfill busy for some seconds


def fill(rows: Rows, count: int, **fields: Any) -> None:
    rows["notes"].insert_many(
        [{"_id": number, "schema_version": 1, "body": f"note {number}", **fields} for number in range(count)]
    )


def test_rows_are_brought_to_latest(docstore: Docstore, rows: Rows) -> None:
    fill(rows, 3)

    done = docstore("backfill", "start", "note", "--wait")

    assert done.returncode == 0
    assert "note: 3 rows brought to version 3" in done.stdout
    assert rows["notes"].find_one({"_id": 1}) == {"_id": 1, "schema_version": 3, "text": "note 1", "words": 2}


def test_the_result_as_json_is_alone_on_stdout(docstore: Docstore, rows: Rows) -> None:
    fill(rows, 3)

    done = docstore("-v", "backfill", "start", "note", "--to", "2", "--wait", "--format", "json")

    result = json.loads(done.stdout)
    assert done.returncode == 0
    assert result["seconds"] > 0
    assert {name: result[name] for name in ("kind", "target", "server", "client", "remaining", "complete")} == {
        "kind": "note",
        "target": 2,
        "server": 3,
        "client": 0,
        "remaining": 0,
        "complete": True,
    }
    assert "backfill_ended" in done.stderr


def test_rows_in_quarantine_leave_with_1_and_say_what_to_do(docstore: Docstore, rows: Rows) -> None:
    fill(rows, 2)
    rows["notes"].insert_one({"_id": "x", "schema_version": 1, "body": "here", "text": "and there"})

    done = docstore("backfill", "start", "note", "--wait")

    assert done.returncode == 1
    error, hint = done.stderr.splitlines()[-2:]
    assert error == "error: 1 row is still below version 3, in quarantine"
    assert hint.startswith("hint: docstore quarantine list note says why")
    assert hint.endswith("docstore backfill start note --to 3 --wait")
    assert rows["docstore_quarantine"].count_documents({"text": None}) == 1


def test_the_text_of_errors_is_recorded_on_demand(docstore: Docstore, rows: Rows) -> None:
    rows["notes"].insert_one({"_id": 1, "schema_version": 2, "text": 5})

    docstore("backfill", "start", "note", "--wait", "--record-error-text")

    record = rows["docstore_quarantine"].find_one() or {}
    assert record["text"] == "AttributeError: 'int' object has no attribute 'split'"


def test_without_wait_the_run_is_enqueued_for_workers(docstore: Docstore, rows: Rows) -> None:
    fill(rows, 1)

    done = docstore("backfill", "start", "note", "--to", "2")

    assert done.returncode == 0
    assert "note to version 2: enqueued" in done.stdout
    assert rows["notes"].count_documents({"schema_version": 1}) == 1
    assert [run["state"] for run in rows["docstore_runs"].find()] == ["enqueued"]


def test_bringing_rows_down_leaves_with_3(docstore: Docstore, rows: Rows) -> None:
    rows["notes"].insert_one({"_id": 1, "schema_version": 3, "text": "x"})

    done = docstore("backfill", "start", "note", "--to", "2", "--wait")

    assert done.returncode == 3
    assert done.stderr.startswith("error: the backfill of note is refused")


def test_a_version_that_the_kind_does_not_have_leaves_with_2(docstore: Docstore) -> None:
    done = docstore("backfill", "start", "note", "--to", "9", "--wait")

    assert done.returncode == 2
    assert "lies outside 1 to 3" in done.stderr


def until_some_are_done(rows: Rows) -> int:
    while not (done := rows["notes"].count_documents({"schema_version": 3})):
        time.sleep(0.02)
    return done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on_and_the_next_one_does(
    start: Any, docstore: Docstore, rows: Rows, number: signal.Signals
) -> None:
    fill(rows, MANY)
    with start("backfill", "start", "note", "--wait", "--format", "json") as process:
        until_some_are_done(rows)
        process.send_signal(number)
        output, errors = process.communicate(timeout=150)
    left = rows["notes"].count_documents({"schema_version": 1})

    again = docstore("backfill", "start", "note", "--wait", "--format", "json")

    assert process.returncode == 1
    assert json.loads(output)["interrupted"]
    assert json.loads(output)["remaining"] == left > 0
    assert "hint: docstore backfill start note --to 3 --wait goes on" in errors
    assert "Traceback" not in errors
    assert again.returncode == 0
    assert json.loads(again.stdout)["client"] == left


def test_a_killed_run_is_carried_on_by_the_next(start: Any, docstore: Docstore, rows: Rows) -> None:
    fill(rows, MANY)
    with start("backfill", "start", "note", "--wait") as process:
        until_some_are_done(rows)
        process.kill()

    again = docstore("backfill", "start", "note", "--wait", "--format", "json")

    assert again.returncode == 0
    assert 0 < json.loads(again.stdout)["client"] < MANY
    assert rows["notes"].count_documents({"schema_version": 3, "words": 2}) == MANY
