"""
What docstore says of conditions on known values is what the server says of them.
"""

import random
from typing import Any

from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId

from docstore.core.paths import MISSING
from docstore.core.predicates import holds
from docstore.core.wrapped_condition import before_wrapping
from tests.random_kinds import SCALARS, random_condition, value

ODD = [
    MinKey(),
    MaxKey(),
    ObjectId(b"a" * 12),
    {},
    {"x": 1},
    {"x": None},
    [],
    [[]],
    [[1]],
    [None],
    [1, "a"],
    float("nan"),
]
FIXED: list[Any] = [
    {"$gte": None},
    {"$lte": None},
    {"$gt": None},
    {"$lt": MaxKey()},
    {"$in": []},
    {"$nin": []},
    {"$all": []},
    {"$all": [None]},
    {"$all": [[1]]},
    {"$elemMatch": {"$exists": True}},
    {"$mod": [2, 1]},
    {"$mod": [2, 0], "$ne": 2},
    {"$bitsAllSet": 1},
    {"$type": 10},
    {"$type": -1},
    {"$type": ["number", "array"]},
    {"$size": 1},
    {"$size": 0},
    {"$not": {"$size": 1}},
    {"$not": {"$elemMatch": {"$gt": 0, "$lt": 2}}},
    {"$not": {"$gt": 1, "$ne": 2}},
    {"$exists": 0},
    {"$exists": 1, "$nin": [None, 1]},
    {"$gt": Decimal128("1")},
    {"$lt": Int64(2)},
    {"$gte": float("nan")},
    {"$gt": []},
    {"$eq": [1, "a"]},
    {"$ne": {"x": 1}},
    [None],
    [[]],
]


def conditions(rng: random.Random, number: int) -> list[Any]:
    held = [*SCALARS, *ODD]
    return [*FIXED, *(random_condition(rng, rng.choice(held)) for _ in range(number))]


def fields(held: Any) -> dict[str, Any]:
    return {} if held is MISSING else {"f": held}


async def test_what_is_said_of_a_known_value_is_what_the_server_says(database: Any) -> None:
    rng = random.Random(5)
    values = [MISSING, *SCALARS, *ODD, *(value(rng) for _ in range(60))]
    await database["known"].insert_many([{"_id": place, **fields(held)} for place, held in enumerate(values)])
    unknown = 0
    asked = conditions(rng, 300)
    for condition in asked:
        matching = {row["_id"] async for row in database["known"].find({"f": condition}, {"_id": 1})}
        for place, held in enumerate(values):
            answer = holds(condition, held)
            unknown += answer is None
            assert answer in {None, place in matching}, (condition, held)
    assert unknown < len(asked) * len(values) / 4


async def test_what_is_asked_of_a_value_before_it_is_wrapped_is_what_is_asked_of_the_list(database: Any) -> None:
    rng = random.Random(6)
    values = [
        held for held in (MISSING, *SCALARS, *ODD, *(value(rng) for _ in range(60))) if not isinstance(held, list)
    ]
    await database["bare"].insert_many([{"_id": place, **fields(held)} for place, held in enumerate(values)])
    wrapped = [{"_id": place, **({} if held is MISSING else {"f": [held]})} for place, held in enumerate(values)]
    await database["wrapped"].insert_many(wrapped)
    translated = 0
    for condition in conditions(rng, 300):
        before = before_wrapping(condition)
        if before is None:
            continue
        translated += 1
        asked = {"$and": [{"f": each} for each in before]}
        bare = {row["_id"] async for row in database["bare"].find(asked, {"_id": 1})}
        matching = {row["_id"] async for row in database["wrapped"].find({"f": condition}, {"_id": 1})}
        assert bare == matching, (condition, before, [values[place] for place in bare ^ matching])
    assert translated > 150
