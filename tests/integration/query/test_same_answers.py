"""
A query gives the answer that it would give if every row had been rewritten: random kinds, rows and queries.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import pytest
from pydantic import BaseModel, create_model

from docstore import Kind
from docstore.core.bson_values import RawDocument
from docstore.core.stale_branch import Way
from docstore.errors import StaleQueryError
from docstore.store.query import Queries
from docstore.store.rows import RowReader
from tests.random_kinds import Anything, paths_of, random_filter, random_kind, random_rows, random_sort

#: 10 times 34 times 15 queries: 5,100 cases.
ROUNDS: Final = 10
KINDS: Final = 34
QUERIES: Final = 15
ROWS: Final = 32

#: Which share of the steps are functions, in one kind after another.
FUNCTIONS: Final = (0.0, 0.5, 0.8)

#: The ways of which each has to be taken in a tenth of the cases where steps matter.
WAYS: Final = (Way.TRANSLATED, Way.UPGRADED, Way.IN_CLIENT, Way.REFUSED)

#: What is shown, how many match, and which of those are old: the latter two not of every case.
Answer = tuple[list[Any], int | None, list[Any] | None]


def _projection(rng: random.Random, upgraded: list[RawDocument]) -> type[BaseModel] | None:
    if rng.random() < 0.6:
        return None
    names = {path.split(".")[0] for path in paths_of(rng.choice(upgraded))}
    fields: dict[str, Any] = dict.fromkeys(rng.sample(sorted(names), min(2, len(names))), (Any, None))
    return create_model("Part", **fields)


def _asked(rng: random.Random, kind: Kind[Anything], upgraded: list[RawDocument]) -> dict[str, Any]:
    sort = random_sort(rng, kind, upgraded)
    window = {"skip": rng.choice([0, 0, 3]), "limit": rng.choice([0, 0, 5])} if sort else {}
    return {"filter": random_filter(rng, kind, upgraded), "sort": sort, **window}


def _shown(document: BaseModel) -> Any:
    return document.id if isinstance(document, Anything) else repr(document)


async def _answer(
    queries: Queries[Anything], query: dict[str, Any], part: type[BaseModel] | None, *, place: int
) -> tuple[Answer | None, Way]:
    """
    Return the answer, or None for a refusal, and the way.
    """
    allowed = place % 2 == 0
    cursor: Any = queries.find(**query, projection=part, allow_client_filter=allowed)
    try:
        found = [_shown(document) for document in await cursor.to_list()]
    except StaleQueryError as refusal:
        # Only what a function writes, or what is made from it, is beyond the server.
        if allowed or not refusal.rows or "Python functions" not in refusal.reason:
            raise
        return None, Way.REFUSED
    counted, old = None, None
    if place % 4 < 2:
        counted = await queries.count(query["filter"], allow_client_filter=allowed)
    else:
        old = sorted([row_id async for row_id in queries.old_ids(query["filter"], allow_client_filter=allowed)])
    return (found if query["sort"] else sorted(found), counted, old), cursor.way


async def _expected(things: Any, query: dict[str, Any], part: type[BaseModel] | None, stored_old: set[Any]) -> Answer:
    """
    Return what the server says of the same query after every row was rewritten.
    """
    options = {key: value for key, value in query.items() if key != "filter" and value}
    rows = [row async for row in things.find(query["filter"], **options)]
    found = [row["_id"] if part is None else _shown(part.model_validate(row)) for row in rows]
    if query.get("skip") or query.get("limit"):
        rows = [row async for row in things.find(query["filter"], {"_id": 1})]
    matching = {row["_id"] for row in rows}
    return found if query["sort"] else sorted(found), len(matching), sorted(matching & stored_old)


@pytest.mark.timeout(300)  # seconds: each is hundreds of cases
@pytest.mark.parametrize("number", range(ROUNDS))
async def test_random_queries_over_mixed_versions_answer_as_after_a_full_rewrite(
    database: Any,
    number: int,
    thorough: bool,  # noqa: FBT001 - a fixture
    record_property: Callable[[str, object], None],
) -> None:
    ways: Counter[Way] = Counter()
    things = database["things"]
    for case in range(KINDS * (4 if thorough else 1)):
        rng = random.Random(f"{os.environ['DOCSTORE_TEST_SEED']} {number} {case}")
        kind = random_kind(rng, functions=FUNCTIONS[case % len(FUNCTIONS)])
        rows = random_rows(rng, kind, ROWS)
        assert len(rows) > 4
        await things.delete_many({})
        await things.insert_many(rows)
        upgraded = [kind.upgrade(row) for row in rows]
        asked = [_asked(rng, kind, upgraded) for _ in range(QUERIES)]
        parts = [_projection(rng, upgraded) for _ in asked]
        queries = Queries(database, kind, RowReader(kind))
        # All at once: to wait for one answer after another would take most of the time.
        before = await asyncio.gather(
            *(
                _answer(queries, query, part, place=place)
                for place, (query, part) in enumerate(zip(asked, parts, strict=True))
            )
        )
        await things.delete_many({})
        await things.insert_many(upgraded)
        stored_old = {row["_id"] for row in rows if kind.version(row) < kind.latest}
        after = await asyncio.gather(
            *(_expected(things, query, part, stored_old) for query, part in zip(asked, parts, strict=True))
        )
        for query, (answer, way), (found, counted, old) in zip(asked, before, after, strict=True):
            ways[way] += 1
            if answer is None:
                assert any(step.upgrade for step in kind.steps), query
            else:
                wanted = (found, None if answer[1] is None else counted, None if answer[2] is None else old)
                assert answer == wanted, (way, query, kind.steps)
    mattering = sum(ways[way] for way in WAYS)
    shares = ", ".join(f"{way} {ways[way]}" for way in Way)
    record_property("ways of random queries", f"round {number}: {ways.total()} cases, {shares}")
    assert {way: ways[way] for way in WAYS if ways[way] < mattering / 10} == {}, ways
