"""
`docstore rollout canary`, `advance` and `rollback`, as they are typed.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from docstore import commands
from docstore.discovery import find_kinds
from docstore.fleet.node import Node

ROOT = Path(__file__).parents[3]


@pytest.fixture
def moves(command_line: Any) -> Callable[..., Any]:
    """
    Run `docstore rollout ARGUMENTS`.
    """
    return lambda *arguments: command_line.run("rollout", *arguments)


def _add(folder: Path, command_line: Any, text: str) -> None:
    """
    Have the package of kinds hold something more.
    """
    module = folder / command_line.package / "__init__.py"
    module.write_text(module.read_text() + text)


def _gone(command_line: Any) -> None:
    """
    Have every node be dead.
    """
    earlier = {"$subtract": ["$seen", 60_000]}
    command_line.database.docstore_nodes.update_many({}, [{"$set": {"seen": earlier, "dead_after": 10.0}}])


def _vanished(command_line: Any, uri: str, *, latest: int = 3, dead_after: float = 10.0) -> None:
    async def leave() -> None:
        async with AsyncMongoClient[dict[str, Any]](uri) as client:
            kinds = list(find_kinds(command_line.package).values())
            node = Node(client[command_line.database.name], kinds, service="geo-api", instance="pod-1", streams=False)
            await node.open()
            for task in node._tasks:
                task.cancel()
            await asyncio.gather(*node._tasks, return_exceptions=True)

    asyncio.run(leave())
    changes = {"kinds.0.readable": latest, "dead_after": dead_after}
    command_line.database.docstore_nodes.update_many({}, {"$set": changes})


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


def test_a_canary_says_what_was_counted_and_when_it_goes_back(
    command_line: Any, moves: Callable[..., Any], mongod_uri: str
) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    _vanished(command_line, mongod_uri)

    wrong = moves("canary", "place", "--percent", "5", "--abort-on", "latency>1s")
    assert (wrong.code, "errors>1%" in wrong.errors) == (2, True)
    canary = moves("canary", "place", "--percent", "5", "--abort-on", "errors>1%", "--why", "release 41")
    assert (canary.code, "goes back by itself" in canary.output) == (0, True)
    shown = moves("status", "place", "--format", "json").json[0]["canary"]
    assert shown == {"version": 3, "percent": 5.0, "abort_on": "errors>1% of 100", "operations": 0, "failures": 0}
    why = moves("history", "place", "--format", "json").json[-1]["why"]
    assert why == "5 % of the ids, back if errors>1% of 100; release 41"


def test_missing_indexes_are_refused_with_what_builds_them_and_built_where_that_is_asked_for(
    command_line: Any, moves: Callable[..., Any], mongod_uri: str, tmp_path: Path
) -> None:
    _add(
        tmp_path,
        command_line,
        "place = Kind('place', collection='places', model=Place, steps=place.steps,\n"
        "    indexes={2: ['name'], 3: ['slug']})\n",
    )
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    _vanished(command_line, mongod_uri)

    refused = moves("advance", "place")
    assert refused.code == 3
    assert 'db.getCollection("places").createIndex({"slug": 1})' in refused.errors
    assert "slug_1" not in command_line.database.places.index_information()

    assert moves("advance", "place", "--create-indexes").code == 0
    assert "slug_1" in command_line.database.places.index_information()
    assert "name_1" not in command_line.database.places.index_information()


def test_a_step_without_a_way_back_is_begun_in_so_many_words_only(
    command_line: Any, moves: Callable[..., Any], mongod_uri: str, tmp_path: Path
) -> None:
    _add(
        tmp_path,
        command_line,
        "place = Kind('place', collection='places', model=Place,\n"
        "    steps=[place.steps[0], Step(upgrade=add_slug, to=3)])\n",
    )
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    _vanished(command_line, mongod_uri)

    refused = moves("advance", "place")
    assert (refused.code, "has no way back" in refused.errors) == (3, True)
    begun = moves("advance", "place", "--irreversible")
    assert (begun.code, "there is no rolling back to version 2" in begun.errors) == (0, True)
    back = moves("rollback", "place")
    assert (back.code, "no way back" in back.errors) == (3, True)


def test_a_second_rollout_is_begun_alongside_in_so_many_words_only(
    command_line: Any, moves: Callable[..., Any], mongod_uri: str, tmp_path: Path
) -> None:
    _add(tmp_path, command_line, "note = Kind('note', collection='notes', model=Place, steps=place.steps)\n")
    for name in ("places", "notes"):
        command_line.database[name].insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    _vanished(command_line, mongod_uri)
    assert moves("canary", "place", "--percent", "5").code == 0

    refused = moves("advance", "note")
    assert (refused.code, "a rollout of place is open" in refused.errors) == (3, True)
    assert moves("advance", "note", "--alongside").code == 0


def test_rolling_back_says_what_is_left_and_when_the_release_before_may_run(
    command_line: Any, moves: Callable[..., Any], mongod_uri: str, tmp_path: Path
) -> None:
    # A step that never gives the same twice: nothing can be kept of what it makes.
    _add(
        tmp_path,
        command_line,
        "from itertools import count\n\n\ndef number(row, serial=count()):\n    row['slug'] = str(next(serial))\n"
        "    return row\n\n\nplace = Kind('place', collection='places', model=Place, steps=[place.steps[0],\n"
        "    Step(upgrade=number, downgrade=drop_slug, writes=['slug'], to=3)])\n",
    )
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    _vanished(command_line, mongod_uri)
    moves("advance", "place")
    own = {"_id": 2, "schema_version": 3, "name": "Bergen", "slug": "own"}
    command_line.database.places.insert_many([own, {**own, "_id": 3, "slug": "bergen"}])
    _gone(command_line)

    back = moves("rollback", "place", "--no-fleet", "--ignore-node", "pod-1")
    assert back.code == 0
    assert "docstore backfill start place --to 2 --wait" in back.errors
    assert "may not run: rows of place stand at version 3" in back.output
    too_early = moves("rollback", "place", "--accept-loss")
    assert (too_early.code, "is enqueued, and may bring rows down" in too_early.errors) == (3, True)
    command_line.run("backfill", "start", "place", "--to", "2", "--wait", "--direction", "down")
    status = moves("status", "place").output
    assert "2 rows at version 3: NotExpressibleError in step 3 at slug" in status

    finished = moves("rollback", "place", "--accept-loss", "--why", "nobody needs it", "--format", "json")

    assert finished.code == 0
    assert [(each["state"], each["release_before_blocked_by"]) for each in finished.json] == [("stable", [])]
    assert "2 rows were trimmed to version 2, 0 rows were left above it" in finished.errors
    assert {row["schema_version"] for row in command_line.database.places.find()} == {2}


def test_of_two_operators_in_two_processes_one_wins_and_the_other_is_told(
    command_line: Any, moves: Callable[..., Any], mongod_uri: str, tmp_path: Path
) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)]), "COLUMNS": "200"}
    _vanished(command_line, mongod_uri, dead_after=100.0)
    operators = [
        subprocess.Popen(
            [sys.executable, "-m", "docstore.cli", "rollout", "advance", "place"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    told = [(operator.communicate()[1], operator.returncode) for operator in operators]

    assert sorted(code for _, code in told) == [0, 3]
    loser = next(text for text, code in told if code == 3)
    assert "advancing of place is refused" in loser
    assert "the rollout of place is open" in loser
    history = moves("history", "place", "--format", "json").json
    assert [(event["after"], event["write_version"]) for event in history] == [("stable", None), ("open", 3)]


@pytest.mark.parametrize("arguments", [("canary", "place"), ("canary", "place", "--percent", "101"), ("advance",)])
def test_what_says_too_little_or_too_much_is_a_usage_fault(
    moves: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    assert moves(*arguments).code == 2
