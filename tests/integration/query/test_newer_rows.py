"""
A node that reads rows above its latest through published steps gives the answers that it would give if every row had
been brought to its latest: random kinds, rows and queries.
"""

import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import bson
import pytest

from docstore import Kind
from docstore.core.bson_values import CODEC, RawDocument, encode
from docstore.core.lens import seen_at
from docstore.core.newer_steps import NewerSteps, newer_versions, reading
from docstore.core.stale_branch import Way
from docstore.errors import DocumentError, StaleQueryError
from docstore.operations.published_step import published_step, step_data
from docstore.store.aggregating import Aggregations
from docstore.store.query import Queries
from docstore.store.rows import RowReader
from tests.random_kinds import Anything, random_filter, random_kind, random_rows, random_sort

ROUNDS: Final = 4
KINDS: Final = 20
QUERIES: Final = 10
ROWS: Final = 32


def old_node(rng: random.Random, kind: Kind[Anything]) -> Kind[Anything]:
    """
    Return the kind as code knows it that ends below, and reads the rest as others have published it.
    """
    latest = rng.randrange(kind.floor, kind.latest)
    steps = []
    for step in kind.steps[latest - kind.floor :]:
        published = published_step(step_data(kind.name, step)).step
        if published is None:
            break
        steps.append(published)
    code = Kind("thing", collection="things", model=Anything, steps=kind.steps[: latest - kind.floor])
    return reading(code, NewerSteps(steps))


def brought(kind: Kind[Anything], rows: list[RawDocument], latest: int, readable: int) -> list[tuple[Any, Any]]:
    """
    Return the rows that the old node can read, with what they are at its latest by the new code.
    """
    found = []
    for row in rows:
        try:
            if kind.version(row) <= readable:
                found.append((row, seen_at(kind, row, latest)))
        except DocumentError:
            continue
    return found


async def answer(queries: Queries[Anything], query: dict[str, Any], *, allowed: bool) -> tuple[Any, Way | None]:
    cursor = queries.find(**query, allow_client_filter=allowed)
    try:
        found = [encode(document.model_dump(by_alias=True)) for document in await cursor.to_list()]
        counted = await queries.count(query["filter"], allow_client_filter=allowed)
    except StaleQueryError as refusal:
        if allowed or not refusal.rows or "Python functions" not in refusal.reason:
            raise
        return None, Way.REFUSED
    return (found if query["sort"] else sorted(found), counted), cursor.way


async def expected(things: Any, query: dict[str, Any]) -> Any:
    options = {key: value for key, value in query.items() if key != "filter" and value}
    rows = [row async for row in things.find(query["filter"], **options)]
    for row in rows:
        del row["schema_version"]
    found = [encode(Anything.model_validate(row).model_dump(by_alias=True)) for row in rows]
    return found if query["sort"] else sorted(found), await things.count_documents(query["filter"])


@pytest.mark.timeout(300)  # seconds: each is hundreds of cases
@pytest.mark.parametrize("number", range(ROUNDS))
async def test_random_queries_over_newer_rows_answer_as_if_all_stood_at_the_nodes_latest(
    database: Any,
    number: int,
    thorough: bool,  # noqa: FBT001 - a fixture
    record_property: Callable[[str, object], None],
) -> None:
    ways: Counter[Way | None] = Counter()
    things = database["things"]
    newer = 0
    for case in range(KINDS * (4 if thorough else 1)):
        rng = random.Random(f"{os.environ['DOCSTORE_TEST_SEED']} newer {number} {case}")
        kind = random_kind(rng, functions=0.2 if case % 2 else 0.0)
        code = old_node(rng, kind)
        readable = code.latest + len(newer_versions(code))
        pairs = brought(kind, random_rows(rng, kind, ROWS), code.latest, readable)
        if len(pairs) < 5 or not newer_versions(code):
            continue
        newer += sum(kind.version(row) > code.latest for row, _ in pairs)
        seen = [row for _, row in pairs]
        queries = Queries(database, code, RowReader(code))
        for place in range(QUERIES):
            sort = random_sort(rng, code, seen)
            window = {"skip": rng.choice([0, 0, 3]), "limit": rng.choice([0, 0, 5])} if sort else {}
            query = {"filter": random_filter(rng, code, seen), "sort": sort, **window}
            await things.delete_many({})
            await things.insert_many([row for row, _ in pairs])
            found, way = await answer(queries, query, allowed=place % 2 == 0)
            ways[way] += 1
            if found is None:
                assert any(step.upgrade for step in code.steps), query
                continue
            await things.delete_many({})
            await things.insert_many(seen)
            assert found == await expected(things, query), (way, query, kind.steps, code.latest)
    shares = ", ".join(f"{way} {ways[way]}" for way in Way)
    record_property("queries over newer rows", f"round {number}: {ways.total()} cases, {newer} newer rows, {shares}")
    assert newer > 50
    assert ways[Way.TRANSLATED]
    assert ways[Way.UPGRADED]


def comparable(row: RawDocument) -> bytes:
    # A row at latest is passed as it is stored, whatever number type its tag has.
    return encode(dict(sorted({**row, "schema_version": int(row["schema_version"])}.items())))


async def test_random_pipelines_see_newer_rows_at_the_nodes_latest(database: Any) -> None:
    things = database["things"]
    compared = 0
    for case in range(30):
        rng = random.Random(f"{os.environ['DOCSTORE_TEST_SEED']} newer pipelines {case}")
        kind = random_kind(rng, functions=0.0)
        code = old_node(rng, kind)
        pairs = brought(kind, random_rows(rng, kind, ROWS), code.latest, code.latest + len(newer_versions(code)))
        if len(pairs) < 5 or not newer_versions(code):
            continue
        seen = [row for _, row in pairs]
        await things.insert_many([row for row, _ in pairs])
        pipeline = [{"$match": random_filter(rng, code, seen)}, {"$sort": {"_id": 1}}]
        run = Aggregations(database, code, {"things": code})
        found = b"".join([batch async for batch in run.batches(pipeline, report=None, session=None)])
        await things.delete_many({})
        await things.insert_many(seen)
        wanted = [comparable(row) async for row in await things.aggregate(pipeline)]
        await things.delete_many({})
        assert [comparable(row) for row in bson.decode_all(found, CODEC)] == wanted, (pipeline, kind.steps)
        compared += len(wanted)
    assert compared > 50
