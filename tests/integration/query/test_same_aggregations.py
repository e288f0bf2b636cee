"""
A pipeline gives what it would give if every row had been rewritten: random kinds, rows and pipelines, with joins.
"""

import os
import random
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, Final

import pytest

from docstore import Collection, Kind, Store
from docstore.core.bson_values import RawDocument, comparison_key
from docstore.core.stale_branch import Way
from docstore.errors import StaleQueryError
from docstore.store import aggregating_in_client, client_filter, upgrading_sides
from tests.random_kinds import (
    Anything,
    paths_of,
    random_filter,
    random_kind,
    random_rows,
    random_sort,
)

#: 8 times 6 times 12 pipelines: 576 cases.
ROUNDS: Final = 8
KINDS: Final = 6
PIPELINES: Final = 12
ROWS: Final = 24

#: What a refusal may say: part of it. Where it is told of functions, there are some.
REASONS: Final = ("Python functions", "only Python can upgrade", "the array position in the")

Stage = dict[str, Any]


def _plain_path(rng: random.Random, upgraded: list[RawDocument]) -> str:
    """
    Return a path without an array position, which an expression would take for a field's name.
    """
    return rng.choice([*paths_of(rng.choice(upgraded)), "a", "new0", "n.x", "_id"])


def _stage(rng: random.Random, kind: Kind[Anything], upgraded: list[RawDocument]) -> list[Stage]:
    path, other = _plain_path(rng, upgraded), _plain_path(rng, upgraded)
    top = other.split(".", maxsplit=1)[0]
    limited: list[Stage] = [{"$sort": dict(random_sort(rng, kind, upgraded) or [("_id", 1)])}, {"$limit": 7}]
    makers: list[Callable[[], list[Stage]]] = [
        lambda: [{"$match": random_filter(rng, kind, upgraded)}],
        lambda: limited,
        lambda: [{"$project": {path: 1}}],
        lambda: [{"$project": {top: 0}}],
        lambda: [{"$project": {"_id": 0, "made": {"$type": f"${path}"}}}],
        lambda: [{"$set": {"made": {"$ifNull": [f"${path}", "none"]}}}],
        lambda: [{"$set": {"whole": {"$type": f"${path}"}}}, {"$unset": top if top != "_id" else "made"}],
        lambda: [{"$unwind": {"path": f"${path}", "preserveNullAndEmptyArrays": rng.random() < 0.5}}],
        lambda: [{"$group": {"_id": {"$type": f"${path}"}, "number": {"$sum": 1}, "most": {"$max": f"${other}"}}}],
        lambda: [{"$sortByCount": {"$type": f"${path}"}}],
        lambda: [{"$count": "rows"}],
        lambda: [{"$replaceWith": {"kept": f"${path}", "own": "$_id"}}],
        lambda: [{"$facet": {"some": [{"$match": {path: {"$exists": True}}}, {"$count": "rows"}], "all": limited}}],
    ]
    return rng.choice(makers)()


def _without_ties(stages: list[Stage]) -> list[Stage]:
    """
    Return a pipeline that only limits rows of which each has an id of its own, so that there is one answer.
    """
    kept: list[Stage] = []
    unique = True
    for stage in stages:
        if unique or not {"$limit", "$facet"} & stage.keys():
            kept.append(stage)
        unique = unique and bool({"$match", "$set", "$lookup", "$sort", "$limit"} & stage.keys())
    return kept


def _join(rng: random.Random, kinds: list[Kind[Anything]], upgraded: list[list[RawDocument]]) -> Stage:
    place = rng.randrange(len(kinds))
    kind, rows = kinds[place], upgraded[place]
    local, foreign = _plain_path(rng, upgraded[0]), _plain_path(rng, rows)
    inner = [stage for _ in range(rng.randrange(3)) for stage in _stage(rng, kind, rows)]
    inner = _without_ties(inner)
    ends = [f"{end}.{rng.randrange(2)}" if end != "_id" and rng.random() < 0.2 else end for end in (local, foreign)]
    into = rng.choice(["joined", "joined", "n.joined", "l.joined", "a.0.joined"])
    joins: list[Callable[[], Stage]] = [
        lambda: {"from": kind.collection, "localField": ends[0], "foreignField": ends[1], "as": into},
        lambda: {
            "from": kind.collection,
            "localField": "_id",
            "foreignField": "_id",
            "pipeline": inner,
            "as": "joined",
        },
        lambda: {
            "from": kind.collection,
            "let": {"mine": f"${local}"},
            "pipeline": [{"$match": {"$expr": {"$eq": [f"${foreign}", "$$mine"]}}}, *inner],
            "as": "joined",
        },
    ]
    if rng.random() < 0.3:
        return {"$unionWith": {"coll": kind.collection, "pipeline": inner}}
    return {"$lookup": rng.choice(joins)()}


def _pipeline(rng: random.Random, kinds: list[Kind[Anything]], upgraded: list[list[RawDocument]]) -> list[Stage]:
    stages: list[Stage] = []
    if rng.random() < 0.6:
        stages.append({"$match": random_filter(rng, kinds[0], upgraded[0])})
    if rng.random() < 0.6:
        stages.append(_join(rng, kinds, upgraded))
    for _ in range(rng.randrange(4)):
        stages += _stage(rng, kinds[0], upgraded[0])
    return _without_ties(stages)


def _comparable(value: Any, name: str = "") -> Hashable:
    """
    Return a value without what a pipeline leaves open: the order of documents, and of the fields at their top level.
    """
    if isinstance(value, dict):
        return "object", tuple((key, _comparable(value[key], key)) for key in sorted(value))
    if isinstance(value, list):
        items = [_comparable(item) for item in value]
        return "array", frozenset(Counter(items).items()) if name == "joined" else tuple(items)
    return comparison_key(value)


def _answer(documents: list[RawDocument]) -> Counter[Hashable]:
    return Counter(_comparable(document) for document in documents)


async def _asked(
    collection: Collection[Anything],
    pipeline: list[Stage],
    ways: Counter[Way | None] | None = None,
    *,
    in_client: bool = False,
) -> Counter[Hashable] | str:
    """
    Return the answer, or why it is refused; count the way of an answer among *ways*.
    """
    cursor = await collection.aggregate(pipeline, allow_client_filter=in_client)
    try:
        answer = _answer(await cursor.to_list())
    except StaleQueryError as refusal:
        return refusal.reason if refusal.rows else "nothing is old"
    if ways is not None:
        ways[cursor.way] += 1
    return answer


@pytest.mark.timeout(300)  # seconds: each is dozens of cases
@pytest.mark.parametrize("number", range(ROUNDS))
async def test_random_pipelines_over_mixed_versions_answer_as_after_a_full_rewrite(
    database: Any,
    number: int,
    thorough: bool,  # noqa: FBT001 - a fixture
) -> None:
    refused = 0
    for case in range(KINDS * (4 if thorough else 1)):
        rng = random.Random(f"{os.environ['DOCSTORE_TEST_SEED']} {number} {case}")
        drawn = [random_kind(rng, functions=rng.choice([0.0, 0.0, 0.4])) for _ in range(2)]
        kinds = [
            Kind(name, collection=name, model=Anything, steps=kind.steps)
            for name, kind in zip(["one", "two"], drawn, strict=True)
        ]
        rows = [random_rows(rng, kind, ROWS) for kind in kinds]
        upgraded = [[kind.upgrade(row) for row in held] for kind, held in zip(kinds, rows, strict=True)]
        for kind, held in zip(kinds, rows, strict=True):
            await database[kind.collection].delete_many({})
            await database[kind.collection].insert_many(held)
        pipelines = [_pipeline(rng, kinds, upgraded) for _ in range(PIPELINES)]
        ones = Store(database, kinds=kinds, service="tests", fleet=False).collection(kinds[0])
        answers = [await _asked(ones, pipeline) for pipeline in pipelines]
        functions = any(step.upgrade for kind in kinds for step in kind.steps)
        for kind, held in zip(kinds, upgraded, strict=True):
            await database[kind.collection].delete_many({})
            await database[kind.collection].insert_many(held)
        for pipeline, answer in zip(pipelines, answers, strict=True):
            expected = _answer(await (await database["one"].aggregate(pipeline)).to_list())
            if isinstance(answer, str):
                why = answer if functions else answer.replace("Python functions", "")
                assert any(part in why for part in REASONS), (pipeline, answer)
                refused += 1
            else:
                assert answer == expected, pipeline
    assert refused < KINDS * PIPELINES * 0.7


@pytest.mark.timeout(300)  # seconds: each is dozens of cases
@pytest.mark.parametrize("at_once", [0, 5, 1000])
async def test_random_pipelines_whose_rows_functions_upgrade_answer_the_same_where_the_client_may(
    database: Any,
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
    thorough: bool,  # noqa: FBT001 - a fixture
) -> None:
    # Few rows stand for many: more than these are read in parts.
    monkeypatch.setattr(upgrading_sides, "MAX_DECLINED_ROWS", at_once)
    monkeypatch.setattr(client_filter, "PART_ROWS", 3)
    if not at_once:
        monkeypatch.setattr(aggregating_in_client, "HELD_BYTES", 1500)
    ways: Counter[Way | None] = Counter()
    for case in range(KINDS * (8 if thorough else 2)):
        rng = random.Random(f"{os.environ['DOCSTORE_TEST_SEED']} {at_once} {case} client")
        drawn = random_kind(rng, functions=0.7)
        kind = Kind("one", collection="one", model=Anything, steps=drawn.steps)
        plain = Kind("two", collection="two", model=Anything)
        rows = random_rows(rng, kind, ROWS)
        others = [plain.upgrade(row) for row in random_rows(rng, plain, ROWS)]
        upgraded = [kind.upgrade(row) for row in rows]
        for name, held in (("one", rows), ("two", others)):
            await database[name].delete_many({})
            await database[name].insert_many(held)
        pipelines = [_pipeline(rng, [kind, plain], [upgraded, others]) for _ in range(PIPELINES)]
        ones = Store(database, kinds=[kind, plain], service="tests").collection(kind)
        answers = [await _asked(ones, pipeline, ways, in_client=True) for pipeline in pipelines]
        await database["one"].delete_many({})
        await database["one"].insert_many(upgraded)
        for pipeline, answer in zip(pipelines, answers, strict=True):
            if isinstance(answer, str):
                too_much = "what the stages before" in answer and not at_once
                assert too_much or "the array position in the" in answer, (pipeline, answer)
                continue
            assert answer == _answer(await (await database["one"].aggregate(pipeline)).to_list()), pipeline
    assert ways[Way.IN_CLIENT] > 20
