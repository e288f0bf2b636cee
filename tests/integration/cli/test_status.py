"""
`docstore backfill status`, as it is typed.
"""

from typing import Any


def test_where_nothing_was_asked_for_that_is_said(command_line: Any) -> None:
    whole = command_line.run("backfill", "status")
    one = command_line.run("backfill", "status", "place")
    listed = command_line.run("backfill", "status", "--format", "json")

    assert (whole.code, whole.output) == (0, "no backfill was ever asked for\n")
    assert (one.code, one.output) == (0, "no backfill of place was ever asked for\n")
    assert (listed.code, listed.json) == (0, [])


def test_a_hold_is_shown_with_its_reason_and_for_how_long_it_has_lasted(command_line: Any) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    command_line.run("backfill", "start", "place")
    hold = {
        "reason": "throttled",
        "detail": "the majority is behind the primary: 5 s (limit 4)",
        "since": {"$subtract": ["$$NOW", 200_000]},
        "until": {"$add": ["$$NOW", 60_000]},
    }
    command_line.database.docstore_runs.update_one({}, [{"$set": {"state": "running", "hold": hold}}])

    table = command_line.run("backfill", "status", "place")
    (status,) = command_line.run("backfill", "status", "place", "--format", "json").json

    assert "on hold      throttled: the majority is behind the primary: 5 s (limit 4)" in table.output
    assert "for 3 min 2" in table.output
    assert (status["hold"]["reason"], status["eta_seconds"]) == ("throttled", None)
