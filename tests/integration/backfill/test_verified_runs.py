"""
Runs whose server path is held against Python, and whose rows are held against the model as it was asked for.
"""

from dataclasses import replace
from typing import Any

import pytest

from docstore import Document, Kind, Step, commands
from docstore import operations as ops
from docstore.core.run_record import RunOptions
from docstore.core.run_state import RunState
from tests.kinds import Place, stored

Database = Any
ROWS = 300


def kind() -> Kind[Place]:
    """
    A kind whose only step runs inside the server.
    """
    return Kind("place", collection="places", model=Place, steps=[Step(ops.RenameField("title", "name"), to=2)])


async def test_a_run_in_which_the_paths_differ_fails_before_any_row_is_written(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = kind()
    compiled = places.compile(1)
    odd = {"$cond": [{"$eq": ["$_id", 250]}, "secret", "$name"]}
    wrong = replace(compiled, pipeline=[*compiled.pipeline, {"$set": {"name": odd}}])
    monkeypatch.setattr(places, "compile", lambda *_, **__: wrong)
    await database.places.insert_many([stored(1, place) for place in range(ROWS)])

    result = await commands.backfill(database, places)

    assert result.state is RunState.FAILED
    assert "place 250" in result.reason
    assert "'name'" in result.reason
    assert "secret" not in result.reason
    assert await database.places.count_documents({"schema_version": 1}) == ROWS


async def test_a_row_of_the_server_path_that_does_not_fit_the_model_is_put_aside(database: Database) -> None:
    rows = [stored(1, place) for place in range(ROWS)]
    rows[7]["tags"] = "no list"
    await database.places.insert_many(rows)

    result = await commands.backfill(database, kind())

    (aside,) = await commands.quarantine_list(database, kind())
    assert (aside.id, aside.error) == (7, "InvalidDocumentError")
    assert (result.server, result.remaining) == (ROWS - 1, 1)


@pytest.mark.parametrize(("validate", "server", "aside"), [("all", 0, 1), ("sample", ROWS - 1, 1), ("none", ROWS, 0)])
async def test_validate_says_which_rows_have_to_fit_the_model(
    database: Database, validate: str, server: int, aside: int
) -> None:
    rows = [stored(1, place) for place in range(ROWS)]
    rows[7]["tags"] = "no list"
    await database.places.insert_many(rows)

    result = await commands.backfill(database, kind(), options=RunOptions(validate=validate))

    assert (result.server, result.remaining) == (server, aside)


async def test_what_could_not_be_compared_is_not_rewritten_by_the_server(database: Database) -> None:
    # The expression fails at the last row, and is wrong at all others.
    wrong = ops.Compute("share", {"$divide": [100, "$size"]}, lambda row: 100 / row["size"] + 1)
    shares = Kind("share", collection="shares", model=Document, steps=[Step(wrong, to=2)])
    rows = [{"_id": place, "schema_version": 1, "size": 4} for place in range(ROWS)]
    rows[-1]["size"] = 0
    await database.shares.insert_many(rows)

    result = await commands.backfill(database, shares)

    assert await database.shares.count_documents({"share": 25}) == 0
    assert (result.server, result.client, result.quarantined) == (0, ROWS - 1, 1)
