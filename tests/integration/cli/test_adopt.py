"""
`docstore adopt`, as it is typed.
"""

from typing import Any

ROWS = [{"_id": 1, "title": "Oslo"}, {"_id": 2, "title": "Bergen"}]


def test_it_tags_rows_and_leaves_with_code_0(command_line: Any) -> None:
    command_line.database.places.insert_many(ROWS)

    adopted = command_line.run("adopt", "place", "--format", "json")

    assert (adopted.code, adopted.json["tagged"], adopted.json["remaining"]) == (0, 2, 0)
    assert command_line.database.places.count_documents({"schema_version": 1}) == 2


def test_it_says_in_one_line_how_many_rows_it_has_tagged(command_line: Any) -> None:
    command_line.database.places.insert_many(ROWS)

    adopted = command_line.run("adopt", "place", "--wait")
    status = command_line.run("backfill", "status", "place")

    assert adopted.output.strip() == "place: 2 rows tagged"
    assert "place to be tagged: succeeded" in status.output


def test_without_waiting_it_is_left_to_workers(command_line: Any) -> None:
    command_line.database.places.insert_many(ROWS)

    asked = command_line.run("adopt", "place", "--no-wait")
    left_alone = command_line.database.places.count_documents({"schema_version": 1})
    worked = command_line.run("worker", "--drain")
    waited = command_line.run("backfill", "wait", "place")

    assert (asked.code, worked.code, waited.code) == (0, 0, 0)
    assert "place to be tagged: enqueued" in asked.output
    assert left_alone == 0
    assert command_line.database.places.count_documents({"schema_version": 1}) == 2


def test_it_is_refused_beside_another_run(command_line: Any) -> None:
    command_line.database.places.insert_many(ROWS)
    command_line.run("backfill", "start", "place")

    refused = command_line.run("adopt", "place")

    assert refused.code == 3
    assert "a run to version 3 is open" in refused.errors
