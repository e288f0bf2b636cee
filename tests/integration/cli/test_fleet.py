"""
`docstore fleet` and `docstore rollout`, as they are typed.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from docstore import commands
from docstore.discovery import find_kinds
from docstore.errors import RolloutRefusedError
from docstore.fleet.node import Node


@pytest.fixture
def left(command_line: Any, mongod_uri: str) -> Callable[..., None]:
    """
    Leave a node behind that is believed to be alive for ten seconds, after it has done something.
    """

    def leave(*steps: Callable[..., Any]) -> None:
        asyncio.run(_leave(command_line, mongod_uri, steps))

    return leave


async def _leave(command_line: Any, uri: str, steps: tuple[Callable[..., Any], ...]) -> None:
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        database = client[command_line.database.name]
        kinds = list(find_kinds(command_line.package).values())
        node = Node(database, kinds, service="geo-api", instance="pod-1", streams=False)
        await node.open()
        for step in steps:
            await step(database, kinds[0])
        for task in node._tasks:
            task.cancel()
        await asyncio.gather(*node._tasks, return_exceptions=True)


async def _advance(database: Any, kind: Any) -> None:
    await commands.rollout_advance(database, kind, by="operator")


def test_an_empty_fleet_is_told(command_line: Any) -> None:
    done = command_line.run("fleet")

    assert done.code == 0
    assert "nobody works with this database" in done.output
    assert command_line.run("fleet", "--format", "json").json == {"nodes": [], "readers": []}
    assert command_line.database.list_collection_names() == []


def test_nodes_are_shown_with_what_they_read_and_write(command_line: Any, left: Callable[..., None]) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    left()

    table = command_line.run("fleet").output
    node = command_line.run("fleet", "--format", "json").json["nodes"][0]

    assert "geo-api" in table
    assert "1..3" in table
    assert (node["service"], node["instance"], node["life"]) == ("geo-api", "pod-1", "alive")
    kind = node["kinds"][0]
    assert (kind["kind"], kind["reads"], kind["latest"], kind["floor"], kind["writes"]) == ("place", [1, 3], 3, 1, 2)
    assert (sorted(kind["fingerprints"]), kind["acknowledged"]) == (["2", "3"], True)


def test_nodes_that_vanished_are_shown_for_an_hour(command_line: Any, left: Callable[..., None]) -> None:
    left()

    def silent(seconds: int) -> list[str]:
        earlier = {"$subtract": ["$$NOW", seconds * 1000]}
        command_line.database.docstore_nodes.update_many({}, [{"$set": {"seen": earlier}}])
        return [node["life"] for node in command_line.run("fleet", "--format", "json").json["nodes"]]

    assert silent(5) == ["alive"]
    assert silent(20) == ["dead"]
    assert silent(3590) == ["dead"]
    assert silent(3601) == []


def test_a_reader_is_declared_replaced_and_forgotten(command_line: Any) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    assert command_line.run("fleet", "declare", "nightly", "place", "--reads", "1..2").code == 0
    done = command_line.run("fleet", "declare", "nightly", "place", "--reads", "2..3", "--format", "json")

    assert [(each["service"], each["reads"]) for each in done.json["readers"]] == [("nightly", [2, 3])]
    assert "declared" in command_line.run("fleet").output
    assert command_line.run("fleet", "forget", "nightly").code == 0
    gone = command_line.run("fleet", "forget", "nightly")
    assert gone.code == 2
    assert "there is no declared reader nightly" in gone.errors


def test_a_reader_of_other_versions_than_are_stored_is_refused(command_line: Any) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})

    done = command_line.run("fleet", "declare", "nightly", "place", "--reads", "3")

    assert done.code == 3
    assert "stored at version 2, which lies below the floor 3" in done.errors
    assert "hint:" in done.errors


@pytest.mark.parametrize("reads", ["", "2..", "3..2", "0..1", "x"])
def test_what_names_no_versions_is_a_usage_fault(command_line: Any, reads: str) -> None:
    assert command_line.run("fleet", "declare", "nightly", "place", "--reads", reads).code == 2


def test_the_state_of_a_rollout_says_what_a_rollback_means(command_line: Any, left: Callable[..., None]) -> None:
    command_line.database.places.insert_many([{"_id": 1, "schema_version": 2}, {"_id": 2, "schema_version": 3}])
    command_line.database.places.delete_one({"_id": 2})
    assert "no node has worked" in command_line.run("rollout", "status").output
    left(_advance)
    command_line.database.places.insert_one({"_id": 2, "schema_version": 3})

    text = command_line.run("rollout", "status", "place").output
    status = command_line.run("rollout", "status", "--format", "json").json[0]

    assert "after the reverse backfill" in text
    assert (status["state"], status["write_version"], status["version_before"]) == ("open", 3, 2)
    assert (status["lowest_row"], status["highest_row"]) == (2, 3)
    assert len(status["late"]) == 1
    assert [words for words in status["release_before_blocked_by"] if "stored at version 3" in words]


def test_a_freeze_is_shown_and_refuses_knobs(command_line: Any, left: Callable[..., None]) -> None:
    left()
    assert command_line.run("rollout", "freeze", "--why", "incident 4711").code == 0

    assert "nobody can advance anything" in command_line.run("rollout", "status").output
    refused = command_line.run("rollout", "knob", "search", "true")
    assert refused.code == 3
    assert "everything is frozen" in refused.errors
    with pytest.raises(RolloutRefusedError):
        left(_advance)
    assert command_line.run("rollout", "unfreeze").code == 0
    turned = command_line.run("rollout", "knob", "search", "true", "--percent", "10")
    assert turned.output == "search = true for 10 % of the keys\n"


def test_the_history_says_who_did_what(command_line: Any, left: Callable[..., None]) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    left(_advance)
    command_line.run("rollout", "freeze", "--why", "incident 4711")

    events = command_line.run("rollout", "history", "--format", "json").json
    of_kind = command_line.run("rollout", "history", "place", "--format", "json").json

    assert [(event["about"], event["after"]) for event in events] == [
        ("place", "stable"),
        ("place", "open"),
        ("freeze", None),
    ]
    assert [event["write_version"] for event in of_kind] == [None, 3]
    assert events[-1]["why"] == "incident 4711"
    assert "incident 4711" in command_line.run("rollout", "history").output
    assert json.dumps(events)


@pytest.mark.parametrize("value", ["99999999999999999999", '{"a\\u0000": 1}'])
def test_a_value_that_the_database_cannot_hold_is_a_usage_fault(command_line: Any, value: str) -> None:
    refused = command_line.run("rollout", "knob", "search", value)

    assert refused.code == 2
    assert "cannot hold" in refused.errors
    assert value not in refused.errors


def test_an_instance_is_shown_whole_on_a_narrow_terminal(
    command_line: Any, left: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    left()
    name = "geo-api-7d9f8b6c5d-x2x9p-in-a-long-name"
    command_line.database.docstore_nodes.update_many({}, {"$set": {"instance": name}})
    monkeypatch.setenv("COLUMNS", "80")

    lines = command_line.run("fleet").output.splitlines()

    assert all(len(line) <= 80 for line in lines)
    column = slice(lines[1].index("instance"), lines[1].index("kind"))
    assert name in "".join(line[column].split("  ")[0].strip() for line in lines[3:])


def test_what_knobs_are_turned_to_is_shown(command_line: Any) -> None:
    assert command_line.run("rollout", "knob").output == "nobody has turned a knob\n"
    assert command_line.database.list_collection_names() == []
    command_line.run("rollout", "knob", "search", "true", "--percent", "10")
    command_line.run("rollout", "knob", "limit", '{"most": 5}')

    assert command_line.run("rollout", "knob").output == 'limit = {"most": 5}\nsearch = true for 10 % of the keys\n'
    assert command_line.run("rollout", "knob", "search", "--format", "json").json == [
        {"name": "search", "value": True, "percent": 10.0}
    ]
    unknown = command_line.run("rollout", "knob", "other")
    assert (unknown.code, "there is no knob other" in unknown.errors) == (2, True)
