"""
Runs that go down, as they are asked for and told of on the command line.
"""

from typing import Any

from docstore.core.residue import RESIDUE

ABOVE = [
    {"_id": 1, "schema_version": 3, "name": "Oslo", "slug": "oslo"},
    {"_id": 2, "schema_version": 3, "name": "Rome", "slug": "by hand"},
]
BELOW = {"_id": 3, "schema_version": 1, "title": "Bern"}


def test_rows_above_the_target_go_down_and_keep_what_would_be_lost(command_line: Any) -> None:
    command_line.database.places.insert_many(ABOVE)

    done = command_line.run("backfill", "start", "place", "--to", "2", "--wait")

    assert done.code == 0
    assert "place: 2 rows brought down to version 2" in done.output
    assert list(command_line.database.places.find(sort=[("_id", 1)])) == [
        {"_id": 1, "schema_version": 2, "name": "Oslo"},
        {
            "_id": 2,
            "schema_version": 2,
            "name": "Rome",
            RESIDUE: {"3": {"fields": {"slug": {"was": "rome", "is": "by hand"}}}},
        },
    ]


def test_rows_above_the_target_go_down_and_what_cannot_is_told(command_line: Any) -> None:
    command_line.database.places.insert_many([ABOVE[0], ABOVE[1] | {"name": "stuck"}])

    done = command_line.run("backfill", "start", "place", "--to", "2", "--wait")
    status = command_line.run("backfill", "status", "place")

    assert done.code == 1
    assert "place: 1 row brought down to version 2" in done.output
    assert "error: 1 row is still above version 2, in quarantine" in done.errors
    assert "docstore backfill start place --to 2 --direction down --wait" in done.errors
    assert "place down to version 2: succeeded" in status.output
    assert "above version 2" in status.output
    assert "DowngradeFailedError" in command_line.run("quarantine", "show", "place", "2").output


def test_the_direction_is_in_the_result_and_the_status_as_json(command_line: Any) -> None:
    command_line.database.places.insert_one(ABOVE[0])

    done = command_line.run("backfill", "start", "place", "--to", "1", "--wait", "--format", "json")
    status = command_line.run("backfill", "status", "place", "--format", "json")

    assert (done.code, done.json["direction"], done.json["complete"], done.json["newer"]) == (0, "down", True, 0)
    assert (status.json[0]["direction"], status.json[0]["remaining"]) == ("down", 0)
    assert command_line.run("backfill", "wait", "place").code == 0


def test_rows_on_both_sides_leave_with_3_until_the_direction_is_said(command_line: Any) -> None:
    command_line.database.places.insert_many([ABOVE[0], BELOW])

    refused = command_line.run("backfill", "start", "place", "--to", "2", "--wait")
    tried = command_line.run(
        "backfill", "start", "place", "--to", "2", "--direction", "down", "--dry-run", "--format", "json"
    )
    down = command_line.run("backfill", "start", "place", "--to", "2", "--direction", "down", "--wait")

    assert refused.code == 3
    assert "1 row stands below version 2 and 1 row stands above it" in refused.errors
    assert "--direction up or --direction down" in refused.errors
    assert (tried.code, tried.json["direction"], tried.json["would_change"]) == (0, "down", 1)
    assert down.code == 0
    assert [row["schema_version"] for row in command_line.database.places.find(sort=[("_id", 1)])] == [2, 1]


def test_newer_rows_that_are_left_are_no_success_and_are_named(command_line: Any) -> None:
    command_line.database.places.insert_many([ABOVE[0], {"_id": 9, "schema_version": 9, "name": "Bonn"}])

    done = command_line.run("backfill", "start", "place", "--to", "2", "--wait")
    waited = command_line.run("backfill", "wait", "place")

    assert (done.code, waited.code) == (1, 7)
    for told in (done, waited):
        assert "all rows are there but 1 row that stands above version 3" in told.errors
    assert "newer, left alone" in waited.output


def test_no_other_direction_can_be_asked_for(command_line: Any) -> None:
    assert command_line.run("backfill", "start", "place", "--direction", "adopt").code == 2
