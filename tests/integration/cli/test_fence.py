"""
`docstore fence`, in this process against a real server.
"""

import pytest

from docstore.errors import FenceRefusedError
from tests.integration.cli.conftest import CommandLine


def test_a_fence_is_put_up_shown_and_taken_away(command_line: CommandLine) -> None:
    rows = command_line.database["places"]
    rows.insert_many([{"_id": 1, "schema_version": 2, "name": "Oslo"}, {"_id": 2, "name": "Rome"}])

    applied = command_line.run("fence", "apply", "place")
    assert applied.code == 0
    assert "place (places.schema_version): stands" in applied.output
    assert "outside: 1 rows, tag missing" in applied.output
    shown = command_line.run("fence", "show", "place", "--format", "json")
    assert shown.code == 0
    assert shown.json["state"] == "stands"
    assert shown.json["found"]["level"] == "moderate"
    assert shown.json["outside"] == [{"type": "missing", "value": None, "rows": 1}]
    removed = command_line.run("fence", "remove", "place", "--format", "json")
    assert (removed.code, removed.json["state"]) == (0, "none")


def test_a_fence_that_is_in_the_way_of_own_rules_is_refused_with_the_way_out(command_line: CommandLine) -> None:
    command_line.database.create_collection("places", validator={"name": {"$type": "string"}}, validationAction="warn")
    refused = command_line.run("fence", "apply", "place")
    assert refused.code == 3
    assert "only warned of" in refused.errors
    assert "hint: enforce them first" in refused.errors


def test_the_command_for_an_administrator_is_printed_as_it_is_to_be_typed(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = 'db.runCommand({"collMod": "places", "validator": {"name": "two  spaces"}})'

    async def refused(*_: object, **__: object) -> None:
        raise FenceRefusedError(kind="place", reason="the privilege is missing", command=told)

    monkeypatch.setattr("docstore.fleet.fencing.raise_fence", refused)
    outcome = command_line.run("fence", "apply", "place")
    assert outcome.code == 3
    assert told in outcome.errors.splitlines()
