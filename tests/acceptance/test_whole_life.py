"""
The whole life of a version, once, with real processes: adopted, left behind, retired, and back with a backup.
"""

import asyncio
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import WriteError

from docstore import Kind, commands
from docstore.core.rollout_state import RolloutState
from docstore.discovery import find_kinds
from docstore.errors import RetirementRefusedError
from docstore.mongo.control_records import ControlRecords
from tests.restoring import Backup, backup, restore

ROOT = Path(__file__).parents[2]
SERVICE = Path(__file__).with_name("life_service.py")
ROWS = 60
#: The rows that services change; the others are left to runs.
CHANGED = 6

KIND = """
from docstore import Document, Kind

class Note(Document):
    {fields}
    visits: int = 0

note = Kind("note", collection="notes", model=Note, package="{package}.note", floor={floor})
"""
RENAME = "from docstore import Step, operations as ops\n\nstep = Step(ops.RenameField('body', 'text'))\n"
COUNT = """
from docstore import Step

def count(row):
    row["words"] = len(row["text"].split())
    return row

def forget(row):
    row.pop("words")
    return row

step = Step(upgrade=count, downgrade=forget, writes=["words"])
"""


@dataclass
class Life:
    """
    The releases in a folder, the processes that run them, and what those have changed.
    """

    database: Any
    uri: str
    folder: Path
    services: list[subprocess.Popen[str]] = field(default_factory=list)
    changed: int = 0
    doubtful: int = 0

    def release(self, name: str, *, fields: str, floor: int = 1, after: str | None = None, **steps: str) -> None:
        """
        Write a release: the step files of the one before it as they are by now, and its own.
        """
        note = self.folder / name / "note"
        if after is None:
            note.mkdir(parents=True)
        else:
            shutil.copytree(self.folder / after / "note", note, ignore=shutil.ignore_patterns("__pycache__"))
        (note.parent / "__init__.py").write_text("")
        (note / "__init__.py").write_text(KIND.format(fields=fields, package=name, floor=floor))
        for step, text in steps.items():
            (note / f"{step}.py").write_text(text)

    def kind(self, release: str) -> Kind[Any]:
        """
        Return the kind of a release, for what is quicker asked for in this process.
        """
        return find_kinds(release)["note"]

    async def start(self, release: str, *, instance: str = "0") -> subprocess.Popen[str]:
        """
        Start a service, and wait until its store is open.
        """
        service = self._process(str(SERVICE), release, instance, str(CHANGED))
        self.services.append(service)
        said = await asyncio.to_thread(service.stdout.readline)  # type: ignore[union-attr]
        assert said == "open\n", said + await asyncio.to_thread(service.stderr.read)  # type: ignore[union-attr]
        return service

    async def stop(self, service: subprocess.Popen[str]) -> None:
        """
        End a service as a deploy does, and add up what it has changed.
        """
        service.send_signal(signal.SIGTERM)
        output, errors = await asyncio.to_thread(service.communicate, timeout=120)
        assert service.returncode == 0, errors
        told = json.loads(output)
        self.changed += told["changed"]
        self.doubtful += told["doubtful"]
        self.services.remove(service)

    async def refused(self, release: str) -> dict[str, Any]:
        """
        Start a service that does not open, and return what it says.
        """
        service = self._process(str(SERVICE), release, "0", str(CHANGED))
        output, errors = await asyncio.to_thread(service.communicate, timeout=120)
        assert service.returncode == 0, errors
        told: dict[str, Any] = json.loads(output)
        return told

    async def docstore(self, release: str, *arguments: str, code: int = 0) -> str:
        """
        Run the command line with the package of a release, and return what it wrote.
        """
        process = self._process("-m", "docstore.cli", "--upgraders", release, *arguments)
        output, errors = await asyncio.to_thread(process.communicate, timeout=150)
        assert process.returncode == code, (arguments, output, errors)
        return output + errors

    async def backfilled(self, release: str) -> None:
        """
        Bring every row to the write version, and the rollout to its end: on a busy machine nodes hear late of things.
        """

        async def complete() -> bool:
            await self.docstore(release, "backfill", "start", "note", "--wait")
            control = (await ControlRecords(self.database).settled_view()).controls["note"]
            return control.state is RolloutState.COMPLETE

        await until(complete)

    async def versions(self) -> dict[Any, int]:
        """
        Return how many rows stand at which tag.
        """
        found = self.database.notes.aggregate([{"$group": {"_id": "$schema_version", "rows": {"$sum": 1}}}])
        return {group["_id"]: group["rows"] async for group in await found}

    async def counted_words(self) -> list[dict[str, Any]]:
        """
        Return all rows, which are those of the beginning at version 3.
        """
        rows: list[dict[str, Any]] = await self.database.notes.find().to_list()
        assert {row["_id"]: row["text"] for row in rows} == {row: f"row {row}" for row in range(ROWS)}
        assert {(row["schema_version"], row["words"]) for row in rows} == {(3, 2)}
        return rows

    def _process(self, *arguments: str) -> subprocess.Popen[str]:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DOCSTORE_")},
            "PYTHONPATH": f"{ROOT}{os.pathsep}{self.folder}",
            "DOCSTORE_URI": self.uri,
            "DOCSTORE_DATABASE": self.database.name,
            "COLUMNS": "120",
        }
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


async def until(holds: Callable[[], Awaitable[bool]], *, tries: int = 20) -> None:
    for _ in range(tries):
        if await holds():
            return
    pytest.fail("it did not happen in time")


@pytest.fixture
async def life(database: Any, mongod_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Life]:
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Life(database, mongod_uri, tmp_path)
    made.release("life_1", fields="body: str")
    made.release("life_2", fields="text: str", after="life_1", v0002_rename_body=RENAME)
    yield made
    for service in made.services:
        service.kill()
        service.communicate()


@pytest.mark.timeout(480)
async def test_a_version_is_adopted_left_behind_retired_and_comes_back_with_a_backup(life: Life) -> None:
    notes, fields = life.database.notes, "text: str\n    words: int = 0"
    await notes.insert_many([{"_id": row, "body": f"row {row}", "visits": 0} for row in range(ROWS)])

    # Rows that know nothing of versions are adopted, under three nodes that know no other.
    await life.docstore("life_1", "adopt", "note")
    nodes = [await life.start("life_1", instance=str(place)) for place in range(3)]
    assert await life.versions() == {1: ROWS}

    # Release 2 reads version 2 and goes on storing version 1, node by node.
    for place in range(3):
        node = await life.start("life_2", instance=str(place))
        await life.stop(nodes[place])
        nodes[place] = node
    assert await life.versions() == {1: ROWS}

    # The flip; the rows that nobody has written since are left to a run. A backup is made while it is asked for.
    await commands.rollout_advance(life.database, life.kind("life_2"), by="operator")
    await commands.backfill_start(life.database, life.kind("life_2"), by="operator")
    copy = await backup(life.database)
    await life.backfilled("life_2")
    assert await life.versions() == {2: ROWS}

    # No row may stand below version 2 for some time before version 1 is given up for good.
    with pytest.raises(RetirementRefusedError, match="48 h"):
        await commands.retire(life.database, life.kind("life_2"), 2, by="operator")
    await life.docstore("life_2", "retire", "note", "--below", "2", "--soak", "0.1s", "--archive")
    with pytest.raises(WriteError, match="failed validation"):
        await notes.insert_one({"_id": "old", "schema_version": 1, "body": "from long ago"})

    # Code without version 1, and then on to version 3.
    assert not (life.folder / "life_2" / "note" / "v0002_rename_body.py").exists()
    life.release("life_3", fields="text: str", floor=2, after="life_2")
    assert (await commands.check([life.kind("life_3")], life.database)).sound
    newer = await life.start("life_3")
    for node in nodes:
        await life.stop(node)
    life.release("life_4", fields=fields, floor=2, after="life_3", v0003_count_words=COUNT)
    newest = await life.start("life_4")
    await life.stop(newer)
    await commands.rollout_advance(life.database, life.kind("life_4"), by="operator")
    await life.backfilled("life_4")
    await life.stop(newest)
    rows = await life.counted_words()
    assert life.changed <= sum(row["visits"] for row in rows) <= life.changed + life.doubtful
    assert life.changed > 0
    await _comes_back(life, copy)


async def _comes_back(life: Life, copy: Backup) -> None:
    # A backup of before comes back, a day old: code without version 1 does not touch it.
    for record in copy.documents["docstore_nodes"]:
        record["seen"] -= datetime.timedelta(days=1)
    await restore(life.database, copy)
    told = await life.docstore("life_4", "check", "--database", code=3)
    assert "was restored from a backup" in told
    assert "below the floor 2" in told
    refused = await life.refused("life_4")
    assert refused["refused"] == "FloorMismatchError"
    assert "--with-retired" in refused["advice"]
    (run,) = await life.database.docstore_runs.find({"open": True}).to_list()
    assert (run["state"], run["state_reason"]) == ("paused", "found in a restored backup")

    # Recovered: the run that came with it is ended, the retired step lifts the rows, and services open again.
    await commands.backfill_cancel(life.database, "note", by="operator")
    await life.docstore("life_4", "backfill", "start", "note", "--with-retired", "--wait")
    assert await life.versions() == {2: ROWS}
    newest = await life.start("life_4")
    await commands.rollout_advance(life.database, life.kind("life_4"), by="operator")
    await commands.backfill(life.database, life.kind("life_4"))
    await life.stop(newest)
    await life.counted_words()
    with pytest.raises(WriteError, match="failed validation"):
        await life.database.notes.insert_one({"_id": "old", "schema_version": 1, "body": "from long ago"})
    assert (await commands.check([life.kind("life_4")], life.database)).sound
