"""
Rows near the largest size that the server stores.
"""

from typing import Any

from docstore import Document, Kind, Step, commands
from docstore import operations as ops
from docstore.core.run_state import RunState

Database = Any
MB = 1024 * 1024


def copying() -> Kind[Any]:
    return Kind("text", collection="texts", model=Document, steps=[Step(ops.CopyField("body", "copy"), to=2)])


async def test_a_row_that_outgrows_the_server_goes_to_quarantine_and_the_others_are_rewritten(
    database: Database,
) -> None:
    small = [{"_id": number, "schema_version": 1, "body": "x"} for number in range(30)]
    await database.texts.insert_many([*small, {"_id": "large", "schema_version": 1, "body": "x" * 9 * MB}])

    result = await commands.backfill(database, copying(), throttled=False)

    (aside,) = await commands.quarantine_list(database, copying())
    assert (result.state, result.remaining, result.quarantined) == (RunState.SUCCEEDED, 1, 1)
    assert aside.id == "large"
    assert await database.texts.count_documents({"schema_version": 2, "copy": "x"}) == 30


async def test_a_row_that_is_too_large_to_be_compared_is_rewritten_all_the_same(database: Database) -> None:
    await database.texts.insert_many(
        [{"_id": 1, "schema_version": 1, "body": "x" * 6 * MB}, {"_id": 2, "schema_version": 1, "body": "y"}]
    )

    result = await commands.backfill(database, copying(), throttled=False)

    assert (result.state, result.remaining) == (RunState.SUCCEEDED, 0)
    assert await database.texts.count_documents({"schema_version": 2, "$expr": {"$eq": ["$body", "$copy"]}}) == 2
