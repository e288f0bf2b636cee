"""
Rows of a restored backup that stand below the floor: lifted by retired steps, and services open again.
"""

from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import WriteError

from docstore import Kind, Store, commands
from docstore.core.run_record import RunOptions
from docstore.core.run_state import RunState
from docstore.discovery import find_kinds
from docstore.errors import (
    BackfillRefusedError,
    FloorMismatchError,
    RetiredStepsMissingError,
    RolloutRefusedError,
)
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.fence import read_fence
from tests.kinds import place_kind
from tests.restoring import backup, restore

KIND = """
from docstore import Document, Kind

class {model}(Document):
    {field}: str
    words: int = 0

note = Kind("note", collection="notes", model={model}, package="{package}.note", floor={floor})
"""
RENAME = "from docstore import Step, operations as ops\n\nstep = Step(ops.RenameField({old!r}, {new!r}))\n"
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


class Releases:
    """
    The kind `note` as releases have it: version 2 is made by functions, version 3 by an operation.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    def kind(self, latest: int, *, floor: int = 1, retired: tuple[int, ...] = ()) -> Kind[Any]:
        """
        Return it with the steps from *floor* to *latest*; others may be kept as retired ones.
        """
        self._number += 1
        package = f"{self._folder.name.replace('-', '_')}_{self._number}"
        note = self._folder / package / "note"
        (note / "retired").mkdir(parents=True)
        steps = {2: COUNT, 3: RENAME.format(old="text", new="body")}
        for to, text in steps.items():
            where = note / "retired" if to in retired else note
            if to in retired or floor < to <= latest:
                (where / f"v{to:04}_step.py").write_text(text)
        (note.parent / "__init__.py").write_text("")
        fields = {"model": f"Note{latest}", "field": "text" if latest < 3 else "body"}
        (note / "__init__.py").write_text(KIND.format(package=package, floor=floor, **fields))
        return find_kinds(package)["note"]


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Releases:
    monkeypatch.syspath_prepend(str(tmp_path))
    return Releases(tmp_path)


def old_rows(number: int = 3) -> list[dict[str, Any]]:
    tags: list[dict[str, Any]] = [{}, {"schema_version": 1}]
    return [{"_id": each, **tags[each % 2], "text": "two words"} for each in range(number)]


async def store_opens(database: Any, kind: Kind[Any]) -> list[Any]:
    async with Store(database, [kind], service="api", patience=0.0) as store:
        return await store.collection(kind).find({}, sort=[("_id", 1)]).to_list()


async def grown(database: Any, releases: Releases, latest: int) -> None:
    """
    Bring the rows and the write version up, release by release.
    """
    async with Store(database, [releases.kind(1)], service="api"):
        pass
    for version in range(2, latest + 1):
        kind = releases.kind(version)
        async with Store(database, [kind], service="api"):
            await commands.rollout_advance(database, kind, by="operator")
            await commands.backfill(database, kind, throttled=False)


async def test_a_restored_database_is_lifted_up_to_the_floor_and_opens_again(database: Any, releases: Releases) -> None:
    await database.notes.insert_many(old_rows())
    await grown(database, releases, 1)
    copy = await backup(database)
    await grown(database, releases, 3)
    await restore(database, copy)
    kind = releases.kind(3, floor=3, retired=(2, 3))
    with pytest.raises(FloorMismatchError):
        await store_opens(database, kind)

    lifted = await commands.backfill_with_retired(database, kind, by="operator", throttled=False)

    assert (lifted.retired_floor, lifted.floor, lifted.recorded, lifted.unfenced) == (1, 3, True, None)
    assert [run.target for run in lifted.runs] == [1, 2, 3]
    assert [(note.body, note.words) for note in await store_opens(database, kind)] == [("two words", 2)] * 3
    floor = (await ControlRecords(database).view()).floor_of("note")
    assert (floor.floor, floor.proved, floor.home) == (3, True, (await read_fence(database, "notes")).uuid)
    with pytest.raises(WriteError, match="failed validation"):
        await database.notes.insert_one({"_id": 9, "schema_version": 2, "text": "x"})


async def test_restored_rows_alone_are_lifted_by_one_run_under_the_recorded_floor(
    database: Any, releases: Releases
) -> None:
    await database.notes.insert_many(old_rows())
    copy = await backup(database)
    await grown(database, releases, 3)
    kind = releases.kind(3, floor=2, retired=(2,))
    await commands.backfill_with_retired(database, kind, by="operator", throttled=False)
    await restore(database, copy)
    with pytest.raises(FloorMismatchError):
        await store_opens(database, kind)

    lifted = await commands.backfill_with_retired(database, kind, by="operator", throttled=False)

    assert [(run.target, run.remaining) for run in lifted.runs] == [(3, 0)]
    assert len(await store_opens(database, kind)) == 3
    assert (await commands.check([kind], database)).sound


async def test_rows_that_came_without_control_records_are_lifted(database: Any, releases: Releases) -> None:
    await database.notes.insert_many(old_rows())
    kind = releases.kind(2, floor=2, retired=(2,))

    lifted = await commands.backfill_with_retired(database, kind, by="operator", throttled=False)

    assert lifted.recorded
    assert [note.words for note in await store_opens(database, kind)] == [2, 2, 2]


async def test_no_other_worker_takes_part_and_a_run_of_the_backup_is_in_the_way(
    database: Any, releases: Releases
) -> None:
    await database.notes.insert_many(old_rows())
    await grown(database, releases, 1)
    old = releases.kind(2)
    async with Store(database, [old], service="api"):
        await commands.rollout_advance(database, old, by="operator")
    await commands.backfill_start(database, old, by="operator")
    await restore(database, await backup(database))
    kind = releases.kind(3, floor=2, retired=(2,))

    with pytest.raises(BackfillRefusedError, match="paused"):
        await commands.backfill_with_retired(database, kind, by="operator", throttled=False)
    await commands.backfill_cancel(database, "note", by="operator")
    lifted = await commands.backfill_with_retired(database, kind, by="operator", throttled=False)

    assert lifted.recorded
    assert await database.notes.count_documents({"schema_version": 2, "words": 2}) == 3


async def test_a_row_that_cannot_be_lifted_keeps_the_floor_from_being_recorded(
    database: Any, releases: Releases
) -> None:
    await database.notes.insert_many([*old_rows(), {"_id": 7, "schema_version": 1, "text": None}])
    kind = releases.kind(2, floor=2, retired=(2,))

    lifted = await commands.backfill_with_retired(database, kind, by="operator", throttled=False)

    assert not lifted.recorded
    assert lifted.runs[-1].quarantined == 1
    with pytest.raises(FloorMismatchError):
        await store_opens(database, kind)


async def test_a_service_that_still_stores_older_rows_keeps_the_floor_from_being_recorded(
    database: Any, releases: Releases
) -> None:
    await database.notes.insert_many(old_rows())
    old = releases.kind(1)
    async with Store(database, [old], service="old"):
        kind = releases.kind(2, floor=2, retired=(2,))
        with pytest.raises(RolloutRefusedError, match="reads versions 1 to 1"):
            await commands.backfill_with_retired(database, kind, by="operator", throttled=False)


async def test_without_the_right_to_change_the_rules_the_floor_is_recorded_unproved(
    database: Any, releases: Releases
) -> None:
    # Their own rules are only warned of, which a fence beside them would change.
    await database.create_collection("notes", validator={"text": {"$type": "string"}}, validationAction="warn")
    await database.notes.insert_many(old_rows())
    kind = releases.kind(2, floor=2, retired=(2,))

    lifted = await commands.backfill_with_retired(
        database, kind, by="operator", options=RunOptions(rate=1000.0), throttled=False
    )

    assert lifted.recorded
    assert lifted.unfenced is not None
    assert lifted.runs[-1].state is RunState.SUCCEEDED
    assert not (await ControlRecords(database).view()).floor_of("note").proved
    assert len(await store_opens(database, kind)) == 3


async def test_beside_rules_that_rows_break_the_floor_is_recorded_unproved(database: Any, releases: Releases) -> None:
    # Rows that break a moderate rule may be changed in any way, also to an older version.
    await database.create_collection("notes", validator={"colour": {"$type": "string"}}, validationLevel="moderate")
    await database.notes.insert_many(old_rows(), bypass_document_validation=True)
    kind = releases.kind(2, floor=2, retired=(2,))

    lifted = await commands.backfill_with_retired(database, kind, by="operator", throttled=False)

    assert lifted.recorded
    assert lifted.unfenced is not None
    assert not (await ControlRecords(database).view()).floor_of("note").proved


async def test_a_kind_without_retired_steps_is_told_so(database: Any) -> None:
    with pytest.raises(RetiredStepsMissingError):
        await commands.backfill_with_retired(database, place_kind(floor=2), by="operator")
    assert await database.list_collection_names() == []
