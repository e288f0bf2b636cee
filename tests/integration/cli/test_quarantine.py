"""
`docstore quarantine`, as it is typed.
"""

from typing import Any

ROWS = [
    {"_id": 1, "schema_version": 2, "name": "odd"},
    {"_id": "one", "schema_version": 2, "name": "odd"},
    {"_id": 2, "schema_version": 2, "name": "even"},
]


def put_aside(command_line: Any) -> None:
    command_line.database.places.insert_many(ROWS)
    assert command_line.run("backfill", "start", "place", "--wait").code == 1


def test_list_as_json_prints_one_array_and_nothing_of_the_rows(command_line: Any) -> None:
    put_aside(command_line)

    listed = command_line.run("quarantine", "list", "place", "--format", "json")

    assert listed.code == 0
    assert [row["id"] for row in listed.json] == [1, "one"]
    assert {row["step"] for row in listed.json} == {3}
    assert "odd" not in listed.output + listed.errors


def test_list_as_table_names_every_row(command_line: Any) -> None:
    put_aside(command_line)

    listed = command_line.run("quarantine", "list", "place", "--limit", "1")

    assert listed.code == 0
    assert "UpgradeFailedError" in listed.output
    assert "only the first 1 rows are listed" in listed.errors


def test_list_says_how_many_rows_were_mended_that_coverage_still_counts(command_line: Any) -> None:
    put_aside(command_line)
    command_line.database.places.update_one({"_id": 1}, {"$set": {"name": "even"}})

    listed = command_line.run("quarantine", "list", "place", "--format", "json")
    covered = command_line.run("coverage", "place", "--format", "json")

    assert [row["id"] for row in listed.json] == ["one"]
    assert "1 more were changed since they failed, and would come through now" in listed.errors
    assert covered.json[0]["quarantined"] == 2


def test_list_of_an_empty_quarantine_says_so(command_line: Any) -> None:
    listed = command_line.run("quarantine", "list", "place")

    assert (listed.code, listed.output) == (0, "no row of place is in quarantine\n")


def test_show_prints_the_document_only_when_it_is_asked_for(command_line: Any) -> None:
    put_aside(command_line)

    bare = command_line.run("quarantine", "show", "place", "one")
    full = command_line.run("quarantine", "show", "place", "one", "--document", "--format", "json")

    assert "odd" not in bare.output
    assert full.json["document"] == {"_id": "one", "schema_version": 2, "name": "odd"}


def test_show_of_a_row_that_is_not_there_fails_with_advice(command_line: Any) -> None:
    shown = command_line.run("quarantine", "show", "place", "99")

    assert shown.code == 1
    assert "place 99 is not in quarantine" in shown.errors


def test_retry_that_fails_again_leaves_with_code_1(command_line: Any) -> None:
    put_aside(command_line)

    retried = command_line.run("quarantine", "retry", "place", "--all", "--format", "json")

    assert retried.code == 1
    assert (retried.json["tried"], retried.json["failed"]) == (2, 2)


def test_retry_of_mended_rows_by_id_leaves_with_code_0(command_line: Any) -> None:
    put_aside(command_line)
    command_line.mend()

    retried = command_line.run("quarantine", "retry", "place", "one", "1", "--format", "json")

    assert (retried.code, retried.json["succeeded"]) == (0, 2)
    assert command_line.database.places.count_documents({"schema_version": 3}) == 3


def test_retry_of_nothing_in_particular_is_a_usage_fault(command_line: Any) -> None:
    neither = command_line.run("quarantine", "retry", "place")
    both = command_line.run("quarantine", "retry", "place", "1", "--all")

    assert (neither.code, both.code) == (2, 2)
