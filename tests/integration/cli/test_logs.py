"""
Log events of the command line, on stderr.
"""

import json
from typing import Any


def test_events_are_json_objects_where_there_is_no_terminal(command_line: Any) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})

    ended = command_line.run("--verbose", "backfill", "start", "place", "--wait", "--format", "json")

    logged = [json.loads(line) for line in ended.errors.splitlines() if line.startswith("{")]
    (event,) = [entry for entry in logged if entry["event"] == "backfill_ended"]
    assert (event["kind"], event["client"], event["level"]) == ("place", 1, "info")
    assert event["timestamp"].endswith("Z")
    assert ended.json["complete"]


def test_nothing_that_goes_well_is_logged_unless_asked_for(command_line: Any) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})

    ended = command_line.run("backfill", "start", "place", "--wait")

    assert '"event"' not in ended.errors
