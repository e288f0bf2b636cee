"""
`docstore backfill start --dry-run`, as it is typed.
"""

from typing import Any


def store(command_line: Any, *names: str) -> None:
    rows = [{"_id": place, "schema_version": 2, "name": name} for place, name in enumerate(names)]
    command_line.database.places.insert_many(rows)


def test_it_shows_numbers_and_a_diff_of_rows_and_writes_nothing(command_line: Any) -> None:
    store(command_line, "Oslo", "Bergen")

    tried = command_line.run("backfill", "start", "place", "--dry-run", "--sample", "10")

    assert tried.code == 0
    assert '+  "slug": "oslo"' in tried.output
    assert '-  "schema_version": 2' in tried.output
    assert command_line.database.list_collection_names() == ["places"]
    assert command_line.database.places.count_documents({"schema_version": 2}) == 2


def test_as_json_it_prints_one_object(command_line: Any) -> None:
    store(command_line, "Oslo", "odd")

    tried = command_line.run("backfill", "start", "place", "--dry-run", "--format", "json")

    assert tried.code == 1
    assert (tried.json["would_change"], tried.json["would_fail"]) == (1, 1)
    assert "1 row would go to quarantine" in tried.errors


def test_validate_reaches_the_run(command_line: Any) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo", "visits": "many"})

    held = command_line.run("backfill", "start", "place", "--wait", "--format", "json")
    free = command_line.run("backfill", "start", "place", "--wait", "--validate", "none", "--format", "json")

    assert (held.code, held.json["client"]) == (1, 0)
    assert (free.code, free.json["client"]) == (0, 1)


def test_it_says_that_a_run_is_open(command_line: Any) -> None:
    store(command_line, "Oslo")
    command_line.run("backfill", "start", "place")

    tried = command_line.run("backfill", "start", "place", "--dry-run")

    assert tried.code == 0
    assert "a run of place to version 3 is enqueued: no other begins beside it" in tried.errors
