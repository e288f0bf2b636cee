"""
The server path against Python, on rows of a real server.
"""

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest
from pydantic import field_validator
from structlog.testing import capture_logs

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.backfill.validation import Validate, Validation
from docstore.backfill.verifying import Verifier
from docstore.core.chain import CompiledChain
from docstore.core.id_range import IdRange
from docstore.errors import PathsDifferError
from docstore.mongo.server_results import ServerResults
from docstore.mongo.tag_index import build_tag_index

Database = Any


class Pair(Document):
    left: str
    right: int = 0

    @field_validator("left")
    @classmethod
    def _no_secret(cls, left: str) -> str:
        if left == "misfit":
            raise ValueError(left)
        return left


KIND = Kind("pair", collection="pairs", model=Pair, steps=[Step(ops.RenameField("first", "left"), to=2)])


def chain() -> CompiledChain:
    return KIND.compile(1)


def wrong_chain() -> CompiledChain:
    """
    A way that gives one of its rows another value than Python does.
    """
    odd = {"$cond": [{"$eq": ["$_id", 3]}, "wrong", "$left"]}
    return replace(chain(), pipeline=[*chain().pipeline, {"$set": {"left": odd}}])


def row(row_id: Any, text: str = "secret", **fields: Any) -> dict[str, Any]:
    return {"_id": row_id, "schema_version": 1, "first": text, **fields}


async def verifier(database: Database, choice: Validate | None = None, *, share: float = 0.01) -> Verifier:
    index = await build_tag_index(database, "pairs", "schema_version")
    results = ServerResults(database, "pairs", field="schema_version", index=index, collated=False)
    return Verifier(KIND, 2, results, Validation(choice, chance=random.Random(1), share=share))


def verified_rows(logs: Any) -> list[int]:
    return [entry["rows"] for entry in logs if entry["event"] == "rows_verified"]


async def test_rows_on_which_both_agree_are_left_to_the_chain_and_unchanged(database: Database) -> None:
    rows = [row(1), row("a"), row(None, right=3)]
    await database.pairs.insert_many(rows)

    with capture_logs() as logs:
        after = await (await verifier(database)).verified(IdRange(), chain(), size=3)

    assert after == chain()
    assert verified_rows(logs) == [3]
    assert await database.pairs.find().sort("$natural").to_list() == rows


async def test_a_difference_in_the_first_batch_names_id_and_path_and_no_value(database: Database) -> None:
    await database.pairs.insert_many([row(place) for place in range(1000)])

    with pytest.raises(PathsDifferError) as caught:
        await (await verifier(database)).verified(IdRange(), wrong_chain(), size=1000)

    error = caught.value
    assert (error.id, error.version, error.target, error.paths) == (3, 1, 2, ("left",))
    assert "secret" not in str(error)


async def test_only_the_rows_of_the_range_are_compared(database: Database) -> None:
    await database.pairs.insert_many([row(place) for place in range(10)])

    with capture_logs() as logs:
        await (await verifier(database)).verified(IdRange(3, 7), wrong_chain(), size=4)

    assert verified_rows(logs) == [4]


async def test_after_the_first_batch_a_sample_is_compared(database: Database) -> None:
    await database.pairs.insert_many([row(place) for place in range(1000)])
    checking = await verifier(database, share=0.05)

    with capture_logs() as logs:
        await checking.verified(IdRange(upto=499), chain(), size=500)
        await checking.verified(IdRange(499), chain(), size=500)

    assert verified_rows(logs) == [500, 25]


async def test_samples_find_a_difference_sooner_or_later(database: Database) -> None:
    await database.pairs.insert_many([row(place) for place in range(100)])
    checking = await verifier(database, share=0.1)
    await checking.verified(IdRange(), chain(), size=100)

    async def sample() -> None:
        for _ in range(1000):
            await checking.verified(IdRange(), wrong_chain(), size=100)

    with pytest.raises(PathsDifferError):
        await sample()


async def test_every_source_version_has_a_first_batch(database: Database) -> None:
    await database.pairs.insert_many([row(place) for place in range(100)])
    await database.pairs.insert_many([{"_id": f"u{place}", "first": "x"} for place in range(100)])
    checking = await verifier(database, share=0.0)

    with capture_logs() as logs:
        await checking.verified(IdRange(), chain(), size=100)
        await checking.verified(IdRange(), KIND.compile(None), size=100)

    assert verified_rows(logs) == [100, 100]


async def test_a_row_that_python_refuses_and_the_server_takes_is_a_difference(database: Database) -> None:
    await database.pairs.insert_one(row(1, left="there already"))
    takes_all = replace(chain(), condition={"$literal": True})

    with pytest.raises(PathsDifferError) as caught:
        await (await verifier(database)).verified(IdRange(), takes_all, size=1)

    assert caught.value.id == 1


async def test_rows_that_the_condition_declines_are_not_compared(database: Database) -> None:
    await database.pairs.insert_many([row(1), row(2, left="there already")])

    with capture_logs() as logs:
        await (await verifier(database)).verified(IdRange(), chain(), size=2)

    assert verified_rows(logs) == [1]


async def test_rows_that_do_not_fit_the_model_are_declined_by_the_chain_that_comes_back(database: Database) -> None:
    await database.pairs.insert_many([row(1), row(2, "misfit"), row("x", "misfit")])

    after = await (await verifier(database)).verified(IdRange(), chain(), size=3)

    assert after is not None
    taken = await database.pairs.distinct("_id", {"$expr": after.condition})
    assert taken == [1]


async def test_rows_are_not_held_against_the_model_when_nobody_wants_it(database: Database) -> None:
    await database.pairs.insert_many([row(1), row(2, "misfit")])

    after = await (await verifier(database, Validate.NONE)).verified(IdRange(), chain(), size=2)

    assert after == chain()


async def test_concurrent_writes_do_not_look_like_differences(database: Database) -> None:
    await database.pairs.insert_many([row(place, right=0) for place in range(2000)])
    checking = await verifier(database, share=1.0)
    rounds = 0

    async def write() -> None:
        nonlocal rounds
        while True:
            await database.pairs.update_many({}, {"$inc": {"right": 1}, "$set": {"first": f"text {rounds}"}})
            rounds += 1

    writing = asyncio.create_task(write())
    try:
        while rounds < 3:
            assert await checking.verified(IdRange(), chain(), size=2000) == chain()
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


async def test_a_range_with_a_row_at_which_the_server_fails_is_not_for_the_server(database: Database) -> None:
    await database.pairs.insert_one(row(1))
    failing = replace(chain(), pipeline=[*chain().pipeline, {"$set": {"right": {"$toInt": "$left"}}}])

    with capture_logs() as logs:
        after = await (await verifier(database)).verified(IdRange(), failing, size=1)

    assert after is None
    assert [entry["event"] for entry in logs] == ["verification_refused"]


async def test_rows_in_a_collection_with_a_collation_are_compared_by_bytes(database: Database) -> None:
    await database.create_collection("pairs", collation={"locale": "en", "strength": 1})
    await database.pairs.insert_many([row("a"), row("B"), row("é")])
    index = await build_tag_index(database, "pairs", "schema_version")
    results = ServerResults(database, "pairs", field="schema_version", index=index, collated=True)
    checking = Verifier(KIND, 2, results, Validation(None, chance=random.Random(1)))

    with capture_logs() as logs:
        await checking.verified(IdRange("B", "a"), chain(), size=3)

    assert verified_rows(logs) == [1]
