"""
`docstore backfill set`, as it is typed.
"""

from typing import Any

import pytest


@pytest.mark.parametrize(
    "arguments",
    [
        ("rate", "fast"),
        ("rate", "0"),
        ("rate", "inf"),
        ("rate", "0.0001"),
        ("batch-seconds", "0.001"),
        ("batch-seconds", "none"),
        ("speed", "1"),
        ("rate", "5", "--for", "soon"),
        ("rate", "5", "--for", "0s"),
        ("rate", "5", "--for", "99999999h"),
    ],
)
def test_what_is_no_limit_is_a_usage_fault(command_line: Any, arguments: tuple[str, ...]) -> None:
    done = command_line.run("backfill", "set", "place", *arguments)

    assert done.code == 2
    assert [line.partition(":")[0] for line in done.errors.splitlines()] == ["error", "hint"]


def test_a_kind_without_an_open_run_is_told(command_line: Any) -> None:
    done = command_line.run("backfill", "set", "place", "rate", "5")

    assert done.code == 2
    assert "place has no open backfill run" in done.errors


def test_pausing_what_has_ended_is_refused(command_line: Any) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    command_line.run("backfill", "start", "place", "--wait")

    done = command_line.run("backfill", "pause", "place")

    assert done.code == 3
    assert "error: a run that is succeeded cannot become" in done.errors
    assert "hint: docstore backfill status" in done.errors


@pytest.mark.parametrize("option", ["--rate", "--batch-seconds"])
def test_a_run_is_not_asked_for_with_a_limit_that_is_no_number(command_line: Any, option: str) -> None:
    done = command_line.run("backfill", "start", "place", option, "inf")

    assert done.code == 2
    assert f"{option} has to be a number" in done.errors
    assert command_line.database.docstore_runs.count_documents({}) == 0


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "set"])
def test_the_history_says_why(command_line: Any, verb: str) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    command_line.run("backfill", "start", "place", "--why", "release 41")
    if verb == "resume":
        command_line.run("backfill", "pause", "place")
    what = ["rate", "5"] if verb == "set" else []

    done = command_line.run("backfill", verb, "place", *what, "--why", "incident 4711", "--format", "json")

    assert done.code == 0
    history = done.json[0]["history"]
    assert history[0]["why"] == "release 41"
    assert history[-1]["why"].endswith("incident 4711")
