"""
A rollback comes between the looks and the writes of one update: no row that matches is missed.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from docstore.core.rollout_state import RolloutState
from docstore.store.matching_rows import MatchingRows
from tests.integration.store.test_below_latest import NOTE, Note, note
from tests.pinned import Pinned, pinned

if TYPE_CHECKING:
    from docstore.store.collection import Collection


class Meanwhile:
    """
    Rolls back, and brings the first row down as the reverse run does, before or after the next look at the rows.
    """

    def __init__(self, database: Any) -> None:
        self._database = database
        self._member = Pinned(NOTE, 3)
        self.notes: Collection[Note] = pinned(database, NOTE, 3, member=self._member)
        self.came = False

    async def come(self) -> None:
        if not self.came:
            self.came = True
            self._member.state = replace(self._member.state, write_version=2, state=RolloutState.ROLLING_BACK)
            rows = self._database["notes"]
            row = await rows.find_one({"_id": 0})
            await rows.replace_one({"_id": 0}, NOTE.lower(row, to=2))

    def around(self, look: Callable[..., Awaitable[Any]], *, before: bool) -> Callable[..., Awaitable[Any]]:
        async def looked(*args: Any, **options: Any) -> Any:
            if before:
                await self.come()
            found = await look(*args, **options)
            await self.come()
            return found

        return looked


@pytest.mark.parametrize("before", [True, False])
async def test_an_update_of_many_rows_reaches_those_that_a_rollback_brought_down(
    database: Any,
    monkeypatch: pytest.MonkeyPatch,
    before: bool,  # noqa: FBT001 - a parameter
) -> None:
    meanwhile = Meanwhile(database)
    notes = meanwhile.notes
    await notes.insert_many([note(each, tag=["x"], visits=0) for each in range(3)])
    monkeypatch.setattr(MatchingRows, "bring_up_all", meanwhile.around(MatchingRows.bring_up_all, before=before))

    result = await notes.update_many({"status": "new", "tag": "x"}, {"$inc": {"visits": 1}})

    assert meanwhile.came
    assert (result.matched, result.modified) == (3, 3)
    assert [one.visits for one in await notes.find().to_list()] == [1, 1, 1]
    standing = {row["_id"]: row["schema_version"] async for row in database["notes"].find()}
    assert standing == {0: 2, 1: 3, 2: 3}


async def test_the_first_row_is_the_first_though_a_rollback_brought_it_down(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile = Meanwhile(database)
    notes = meanwhile.notes
    await notes.insert_many([note(each, tag=["x"], visits=0) for each in range(2)])
    monkeypatch.setattr(MatchingRows, "holds_others", meanwhile.around(MatchingRows.holds_others, before=False))

    found = await notes.find_one_and_update(
        {"status": "new"}, {"$inc": {"visits": 1}}, sort=[("status", 1), ("_id", 1)]
    )

    assert meanwhile.came
    assert found is not None
    assert found.id == 0
    assert [one.visits for one in await notes.find(sort=[("_id", 1)]).to_list()] == [1, 0]


async def test_an_update_by_a_node_that_has_not_heard_of_a_rollback_reaches_rows_that_others_change_meanwhile(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    unaware, aware = Pinned(NOTE, 3), Pinned(NOTE, 3)
    notes, others = (pinned(database, NOTE, 3, member=member) for member in (unaware, aware))
    await notes.insert_many([note(each, visits=0) for each in range(2)])
    aware.state = replace(aware.state, write_version=2, state=RolloutState.ROLLING_BACK)
    look = MatchingRows.bring_up_all

    async def looked(*args: Any, **options: Any) -> Any:
        found = await look(*args, **options)
        await others.modify(0, lambda one: one.model_copy(update={"status": "sold"}))
        return found

    monkeypatch.setattr(MatchingRows, "bring_up_all", looked)

    result = await notes.update_many({}, {"$inc": {"visits": 1}})

    assert result.matched == 2
    assert [(one.status, one.visits) for one in await notes.find().to_list()] == [("sold", 1), ("new", 1)]
