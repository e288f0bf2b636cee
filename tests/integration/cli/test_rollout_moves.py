"""
`docstore rollout canary`, `advance` and `rollback`, as they are typed.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from docstore import commands
from docstore.discovery import find_kinds
from docstore.fleet.node import Node


@pytest.fixture
def moves(command_line: Any) -> Callable[..., Any]:
    """
    Run `docstore rollout ARGUMENTS`.
    """
    return lambda *arguments: command_line.run("rollout", *arguments)


def _vanished(command_line: Any, uri: str, *, latest: int = 3) -> None:
    async def leave() -> None:
        async with AsyncMongoClient[dict[str, Any]](uri) as client:
            kinds = list(find_kinds(command_line.package).values())
            node = Node(client[command_line.database.name], kinds, service="geo-api", instance="pod-1", streams=False)
            await node.open()
            for task in node._tasks:
                task.cancel()
            await asyncio.gather(*node._tasks, return_exceptions=True)

    asyncio.run(leave())
    command_line.database.docstore_nodes.update_many({}, {"$set": {"kinds.0.readable": latest}})


def test_a_canary_is_widened_advanced_and_rolled_back(
    command_line: Any, moves: Callable[..., Any], mongod_uri: str
) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    assert moves("canary", "place", "--percent", "5").code == 2
    _vanished(command_line, mongod_uri)

    canary = moves("canary", "place", "--percent", "5")
    assert (canary.code, "5 % of the ids at version 3" in canary.output) == (0, True)
    assert "rolling back to version 2 is instant as long as" in canary.errors
    advanced = moves("advance", "place", "--format", "json")
    assert [(each["state"], each["write_version"]) for each in advanced.json] == [("open", 3)]
    again = moves("advance", "place")
    assert (again.code, "is open, which open cannot follow" in again.errors) == (3, True)
    back = moves("rollback", "place", "--why", "errors", "--format", "json")
    assert [(each["state"], each["write_version"]) for each in back.json] == [("rolling_back", 2)]


def test_everything_that_is_in_the_way_is_told_at_once(
    command_line: Any, moves: Callable[..., Any], mongod_uri: str
) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    _vanished(command_line, mongod_uri, latest=2)
    refused = moves("advance", "place")

    assert refused.code == 3
    assert "geo-api/pod-1" in refused.errors
    assert "reads versions 1 to 2" in refused.errors
    command_line.database.docstore_nodes.update_many({}, [{"$set": {"seen": {"$subtract": ["$seen", 60_000]}}}])
    dead = moves("advance", "place")
    assert "no live node" in dead.errors
    assert "vanished" in dead.errors
    assert moves("advance", "place", "--no-fleet", "--ignore-node", "pod-1").code == 0


def test_a_rollback_cancels_the_run_that_brings_rows_up(
    command_line: Any, moves: Callable[..., Any], mongod_uri: str
) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    _vanished(command_line, mongod_uri)
    moves("advance", "place")
    _enqueue(command_line, mongod_uri)

    assert moves("rollback", "place").code == 0

    assert [run["state"] for run in command_line.database.docstore_runs.find()] == ["cancelled"]


def _enqueue(command_line: Any, uri: str) -> None:

    async def ask() -> None:
        async with AsyncMongoClient[dict[str, Any]](uri) as client:
            kind = find_kinds(command_line.package)["place"]
            await commands.backfill_start(client[command_line.database.name], kind, by="operator")

    asyncio.run(ask())


@pytest.mark.parametrize("arguments", [("canary", "place"), ("canary", "place", "--percent", "101"), ("advance",)])
def test_what_says_too_little_or_too_much_is_a_usage_fault(
    moves: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    assert moves(*arguments).code == 2
