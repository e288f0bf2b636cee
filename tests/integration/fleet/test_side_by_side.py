"""
Adjacent releases of docstore as processes side by side: the older one reads the format that the newer one writes.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from docstore import Store
from docstore.errors import RecordFormatError
from tests.kinds import place_kind, stored

ROOT = Path(__file__).parents[3]
ROWS = 40
#: How long an answer may take, in seconds; on a busy machine a process takes long to begin.
PATIENCE = 120.0
RECORDS = ("control", "nodes", "runs", "batches", "history")


class Release:
    """
    A process of another release.
    """

    def __init__(self, name: str, uri: str, *, written: int, read: tuple[int, ...]) -> None:
        arguments = [name, uri, str(written), *map(str, read)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.fleet.adjacent_release", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def answer(self) -> Any:
        """
        Return its next answer.
        """
        assert self.process.stdout is not None
        line = await asyncio.wait_for(asyncio.to_thread(self.process.stdout.readline), PATIENCE)
        if not line:
            pytest.fail(await asyncio.to_thread(lambda: self.process.communicate()[1]))
        return json.loads(line)

    async def do(self, *words: object) -> Any:
        """
        Have it do something, and return its answer.
        """
        assert self.process.stdin is not None
        print(*words, file=self.process.stdin, flush=True)
        return await self.answer()

    async def end(self) -> int:
        """
        Ask for nothing more.
        """
        _, errors = await asyncio.to_thread(self.process.communicate, "", PATIENCE)
        assert "Traceback" not in errors, errors
        return self.process.returncode

    def kill(self) -> None:
        """
        End it if it still runs.
        """
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
async def releases(database: Any, mongod_uri: str) -> AsyncIterator[tuple[Release, Release]]:
    """
    One that reads the next format, and one that writes it, with rows at version 2.
    """
    await database["places"].insert_many([stored(2, number) for number in range(ROWS)])
    uri = mongod_uri.replace("/?", f"/{database.name}?")
    before, after = (
        Release("before", uri, written=1, read=(1, 2)),
        Release("after", uri, written=2, read=(1, 2)),
    )
    try:
        yield before, after
    finally:
        before.kill()
        after.kill()


async def formats(database: Any) -> dict[str, set[int]]:
    """
    Return which formats the records of each collection have.
    """
    found: dict[str, set[int]] = {}
    for name in RECORDS:
        async for record in database[f"docstore_{name}"].find():
            found.setdefault(name, set()).add(record["format"] if "format" in record else record["schema_version"])
    return found


async def test_adjacent_releases_work_side_by_side_and_the_one_before_both_is_refused(
    database: Any, releases: tuple[Release, Release]
) -> None:
    before, after = releases
    assert list(await asyncio.gather(before.answer(), after.answer())) == ["open", "open"]
    assert await before.do("nodes") == await after.do("nodes") == ["after", "before"]

    # The newer one flips; the older one follows, orders the run, and both work on it.
    assert await after.do("advance") == "open"
    assert await before.do("wait", 3) == 3
    assert list(await asyncio.gather(before.do("insert", 100), after.do("insert", 101))) == [100, 101]
    assert await before.do("order") == "enqueued"
    assert list(await asyncio.gather(before.do("work"), after.do("work"))) == ["succeeded", "succeeded"]
    assert await database["places"].count_documents({"schema_version": 3}) == ROWS + 2

    # And back: the newer one asks for the run, which the older one works off alone.
    assert await after.do("rollback") == "rolling_back"
    assert await before.do("wait", 2) == 2
    assert list(await asyncio.gather(before.do("modify", 101), after.do("modify", 100))) == [7, 7]
    assert await before.do("work") == "succeeded"

    rows = {row["_id"]: row async for row in database["places"].find()}
    assert rows[101] | {"visits": 7, "name": "after", "schema_version": 2} == rows[101]
    assert rows[100] | {"visits": 7, "name": "before", "schema_version": 2} == rows[100]
    assert {row["schema_version"] for row in rows.values()} == {2}
    assert len(rows) == ROWS + 2
    # Both have written records, and what one adds the other has kept.
    found = await formats(database)
    assert found["nodes"] == found["runs"] == found["history"] == {1, 2}
    assert found["batches"] <= {1, 2}
    control = await database["docstore_control"].find_one({"_id": "kind:place"})
    assert control.items() >= {"added_by_after": 2, "added_by_before": 1, "state": "stable", "write_version": 2}.items()

    # This process is of the release before both: it reads format 1 alone.
    kept = await database["docstore_control"].find().to_list()
    with pytest.raises(RecordFormatError) as caught:
        async with Store(database, [place_kind(latest=3)], service="too old", patience=0.0):
            pytest.fail("it does not know what it works with")
    assert (caught.value.found, caught.value.known) == (2, 1)
    assert await database["docstore_control"].find().to_list() == kept

    assert [await before.end(), await after.end()] == [0, 0]
