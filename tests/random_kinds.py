"""
Random kinds made of all operations and of functions, rows of every version for them, and queries about these.
"""

import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from bson import Decimal128, Int64, Regex
from pydantic import ConfigDict

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.bson_values import RawDocument
from docstore.core.operation import Operation
from docstore.errors import DefinitionError, DocumentError

PATHS: Final = ["a", "b", "c", "d", "e", "n.x", "n.y", "n.z.u", "l", "l.k", "m"]
#: Paths that operations make.
MADE: Final = [
    "new0",
    "new1",
    "new2",
    "nest0",
    "nest0.a",
    "nest1.v",
    "joined0",
    "joined1",
    "copy0",
    "v",
    "w",
    "n.x",
    "one",
]
#: Paths with array positions, and into arrays.
WITHIN: Final = ["l.0", "l.0.k", "joined1.1", "l.w2", "pair.0", "both.1", "counted", "a.x", "n"]
TYPED: Final = ["text", "first", "last", "digits", "pair", "left", "right", "alone", "both", "whole"]
SCALARS: Final = [0, 1, 1.0, Int64(1), 2, -3, 2.5, Decimal128("1"), "", "a", "A", "ab", "$a", "a b", None, True, False]
TYPES: Final = ["int", "string", "array", "object", "null", "double", "bool", "number", 2, ["array", "null"]]


class Anything(Document):
    model_config = ConfigDict(extra="allow")

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...


def value(rng: random.Random, depth: int = 0) -> Any:
    draw = rng.random()
    if draw < 0.12 and depth < 2:
        return [value(rng, depth + 1) for _ in range(rng.randrange(3))]
    if draw < 0.2 and depth < 2:
        return {key: value(rng, depth + 1) for key in rng.sample(["x", "y", "k", "z"], rng.randrange(3))}
    return rng.choice(SCALARS)


def loose_row(rng: random.Random) -> RawDocument:
    row: RawDocument = {}
    for name in rng.sample(["a", "b", "c", "d", "e", "m"], rng.randrange(2, 6)):
        row[name] = value(rng)
    if rng.random() < 0.6:
        row["n"] = {key: value(rng, 1) for key in rng.sample(["x", "y"], rng.randrange(3))}
        if rng.random() < 0.3:
            row["n"]["z"] = {"u": value(rng, 2)}
    elif rng.random() < 0.2:
        row["n"] = None
    if rng.random() < 0.6:
        row["l"] = [
            {"k": value(rng, 2), "w": value(rng, 2)} if rng.random() < 0.7 else rng.choice(SCALARS)
            for _ in range(rng.randrange(3))
        ]
    return row


def typed_fields(rng: random.Random) -> RawDocument:
    """
    Return fields of the types that some operations insist on; each may be missing.
    """
    made = {
        "text": rng.choice(["a", "a b", "a b c", "", None]),
        "digits": rng.choice(["1", "12", "-7", 3, None]),
        "pair": rng.choice([[1, "a"], [None, []], [{"x": 1}, 2.5]]),
        "left": rng.choice(["a", "b", "ab"]),
        "right": rng.choice(["a", "b", "A"]),
        "alone": rng.choice([[], ["a"], [1, 2], [[1]], [None]]),
        "l": [{"k": value(rng, 2)} for _ in range(rng.randrange(3))],
    }
    return {name: made[name] for name in made if rng.random() < 0.8}


def _lower(row: Mapping[str, Any]) -> str:
    return str(row["a"]).lower()


def _exact(rng: random.Random) -> list[Callable[[], Operation]]:
    """
    Return the operations through which a filter goes back exactly.
    """
    first, second = rng.sample(PATHS, 2)
    third = rng.choice(MADE)
    table = {1: "one", "a": "b", None: 0}
    return [
        lambda: ops.RenameField(first, second),
        lambda: ops.RenameField(first, third),
        lambda: ops.AddField(
            rng.choice([f"new{rng.randrange(3)}", "n.v", "nest1.v"]), rng.choice([*SCALARS, [], ["a", 1]])
        ),
        lambda: ops.RemoveField(rng.choice([first, third])),
        lambda: ops.CopyField(first, f"copy{rng.randrange(2)}"),
        lambda: ops.MapValues(first, table, other="keep"),
        lambda: ops.MapValues(first, {"a": 1, 2: ["a"], False: None}, other=ops.Value(rng.choice(["x", None, 1]))),
        lambda: ops.WrapInList(first),
        lambda: ops.NestFields([first, second], into=f"nest{rng.randrange(2)}"),
        lambda: ops.NestFields({first: "v"}, into="nest1"),
        lambda: ops.UnnestFields("n", rng.choice([{"x": "x", "y": "y"}, {"x": "v"}, {"z": "w"}])),
    ]


def _others(rng: random.Random) -> list[Callable[[], Operation]]:
    """
    Return the operations after which rows have to be upgraded to be asked.
    """
    first, second, third = rng.sample(PATHS, 3)
    return [
        lambda: ops.ConcatLists(f"joined{rng.randrange(2)}", first, second, unique=rng.random() < 0.5),
        lambda: ops.ConcatLists(f"joined{rng.randrange(2)}", first, third, keep=True),
        lambda: ops.ForEach("l", ops.RenameField("k", "w2"), ops.AddField("on", default=True)),
        lambda: ops.Compute("size", {"$type": f"${first}"}, lambda _: "x", requires=False, replace=True),
        lambda: ops.Compute(
            "lower",
            {"$toLower": "$a"},
            _lower,
            requires={"$and": [{"$eq": [{"$type": "$a"}, "string"]}, {"$ne": ["$a", "A"]}]},
            replace=True,
        ),
        lambda: ops.ConvertType("digits", rng.choice([int, str]), on_error=ops.Value(None)),
        lambda: ops.SplitText("text", into=["first", "last"], separator=" "),
        lambda: ops.JoinText(["left", "right"], into=rng.choice(["whole", "left"]), separator="-"),
        lambda: ops.PackList(["left", "right"], into="both"),
        lambda: ops.UnpackList("pair", into=["v", "w"]),
        lambda: ops.UnwrapList("alone"),
    ]


def _count_fields(row: RawDocument) -> RawDocument:
    row["counted"] = len(row)
    return row


def _turn(row: RawDocument) -> RawDocument:
    row["a"], row["b"] = row.get("b"), row.get("a")
    return row


def _function_step(rng: random.Random, to: int) -> Step:
    draw = rng.random()
    if draw < 0.4:
        return Step(upgrade=_count_fields, writes=["counted"], to=to)
    return Step(upgrade=_turn, writes=["a", "b"] if draw < 0.75 else None, to=to)


def random_kind(rng: random.Random, *, functions: float) -> Kind[Anything]:
    """
    Return a kind of one to four steps, of which that share are functions.
    """
    steps: list[Step] = []
    simple = rng.choice([0.3, 0.7, 1.0])
    latest = rng.randrange(2, 6)
    while len(steps) < latest - 1:
        to = len(steps) + 2
        if rng.random() < functions:
            steps.append(_function_step(rng, to))
            continue
        try:
            makers = [_exact(rng) if rng.random() < simple else _others(rng) for _ in range(rng.randrange(1, 4))]
            steps.append(Step(*(rng.choice(each)() for each in makers), to=to))
        except DefinitionError:
            continue
    return Kind("thing", collection="things", model=Anything, steps=steps)


def _uncount(row: RawDocument) -> RawDocument:
    row.pop("counted", None)
    return row


def _invertible_step(rng: random.Random, to: int, *, functions: float) -> Step:
    if rng.random() < functions:
        if rng.random() < 0.4:
            return Step(upgrade=_count_fields, downgrade=_uncount, writes=["counted"], to=to)
        return Step(upgrade=_turn, downgrade=_turn, writes=["a", "b"] if rng.random() < 0.6 else None, to=to)
    first, second = rng.sample(PATHS, 2)
    invertible: list[Callable[[], Operation]] = [
        lambda: ops.RemoveField(first, default=rng.choice([None, 1, "a"])),
        lambda: ops.MapValues(first, {1: "one", "a": "b"}, other="keep"),
        lambda: ops.ConcatLists(f"joined{rng.randrange(2)}", first, second, keep=True),
        lambda: ops.ConvertType("digits", int, was=str),
        lambda: ops.WrapInList(rng.choice([first, "left", "digits"])),
    ]
    while True:
        makers = rng.choice([_exact(rng), _exact(rng), _others(rng), invertible])
        try:
            step = Step(*(rng.choice(makers)() for _ in range(rng.randrange(1, 3))), to=to)
        except DefinitionError:
            continue
        if step.has_way_back:
            return step


def random_invertible_kind(rng: random.Random, *, functions: float, latest: int | None = None) -> Kind[Anything]:
    """
    Return a kind of one to three steps that all have a way back, of which that share are functions.
    """
    top = rng.randrange(2, 5) if latest is None else latest
    steps = [_invertible_step(rng, to, functions=functions) for to in range(2, top + 1)]
    return Kind("thing", collection="things", model=Anything, steps=steps)


def random_latest_rows(rng: random.Random, kind: Kind[Anything], number: int) -> list[RawDocument]:
    """
    Return rows at latest: some came up from version 1, some were changed since, others are of any shape.
    """
    rows: list[RawDocument] = []
    for attempt in range(number):
        row: RawDocument = {**loose_row(rng), **(typed_fields(rng) if rng.random() < 0.7 else {})}
        if rng.random() < 0.7:
            try:
                row = kind.upgrade({"_id": attempt, **row, "schema_version": 1})
            except DocumentError:
                continue
            for name in rng.sample(sorted(row.keys() - {"_id", "schema_version"}), min(len(row) - 2, rng.randrange(3))):
                row[name] = rng.choice([value(rng), row[name], [row[name], value(rng)]])
        rows.append({**row, "_id": attempt, "schema_version": kind.latest})
    return rows


def random_rows(rng: random.Random, kind: Kind[Anything], number: int) -> list[RawDocument]:
    """
    Return rows of every version that can be upgraded; the tags are of all types that a tag may have.

    Half of them began at version 1. The others are what nobody expects at their version, and is taken all the same.
    """
    rows: list[RawDocument] = []
    for attempt in range(number * 30):
        if len(rows) == number:
            break
        version = rng.randrange(1, kind.latest + 1)
        row: RawDocument = {"_id": attempt, **loose_row(rng), **(typed_fields(rng) if rng.random() < 0.7 else {})}
        try:
            if rng.random() < 0.5:
                row = kind.upgrade({**row, "schema_version": 1}, to=version)
                del row["schema_version"]
            if version > 1 or rng.random() < 0.6:
                row["schema_version"] = rng.choice([version, float(version), Int64(version)])
            elif rng.random() < 0.5:
                row["schema_version"] = None
            kind.upgrade(row)
        except DocumentError:
            continue
        rows.append(row)
    return rows


def paths_of(row: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for key, held in row.items():
        if key not in {"_id", "schema_version"}:
            found.append(key)
            inner = held if isinstance(held, dict) else next((one for one in _items(held) if isinstance(one, dict)), {})
            found.extend(f"{key}.{name}" for name in inner)
    return found


def _items(held: Any) -> list[Any]:
    return held if isinstance(held, list) else []


def _written(kind: Kind[Anything]) -> list[str]:
    return sorted(".".join(path) for path in kind.writes(kind.floor, kind.latest) or ())


def random_filter(
    rng: random.Random, kind: Kind[Anything], upgraded: list[RawDocument], depth: int = 0
) -> dict[str, Any]:
    """
    Return a filter of all operators, mostly on paths that steps write, with values that rows hold.
    """
    if depth < 2 and rng.random() < 0.3:
        parts = [random_filter(rng, kind, upgraded, depth + 1) for _ in range(rng.randrange(1, 4))]
        return {rng.choice(["$and", "$or", "$nor"]): parts}
    row = rng.choice(upgraded)
    anywhere = [*paths_of(row), *PATHS, *MADE, *WITHIN, *TYPED, "_id"]
    path = rng.choice(_written(kind) or anywhere) if rng.random() < 0.6 else rng.choice(anywhere)
    held: Any = row
    for segment in path.split("."):
        held = held.get(segment) if isinstance(held, dict) else rng.choice(SCALARS)
    if isinstance(held, list) and held and rng.random() < 0.5:
        held = rng.choice(held)
    if rng.random() < 0.05 and not any(segment.isdigit() for segment in path.split(".")):
        return {"$expr": {rng.choice(["$eq", "$lt", "$gte"]): [f"${path}", {"$literal": held}]}}
    return {path: random_condition(rng, held)}


def random_condition(rng: random.Random, held: Any) -> Any:
    """
    Return a condition of a field that has to do with a value that is held there.
    """
    other = rng.choice(SCALARS)
    pattern: list[Any] = [{"$regex": "a"}, {"$regex": "^A", "$options": "i"}, Regex("b$")]
    conditions: list[Callable[[], Any]] = [
        lambda: held,
        lambda: {"$eq": held},
        lambda: {"$ne": held},
        lambda: {rng.choice(["$gt", "$gte", "$lt", "$lte"]): held},
        lambda: {"$gte": other, "$lt": held},
        lambda: {"$exists": rng.random() < 0.5},
        lambda: {"$type": rng.choice(TYPES)},
        lambda: {"$in": [held, other]},
        lambda: {"$nin": [held, other]},
        lambda: {"$not": random_operators(rng, held)},
        lambda: {"$elemMatch": {rng.choice(["$gte", "$eq", "$ne"]): rng.choice([held, other])}},
        lambda: {"$elemMatch": {rng.choice(["k", "w", "w2", "x"]): {"$ne": other}}},
        lambda: {"$all": [held]},
        lambda: {"$all": [held, other]},
        lambda: {"$size": rng.randrange(3)},
        lambda: rng.choice(pattern),
        lambda: None,
        lambda: {"$exists": True, "$ne": held},
    ]
    return rng.choice(conditions)()


def random_operators(rng: random.Random, held: Any) -> Any:
    while True:
        condition = random_condition(rng, held)
        if isinstance(condition, dict) and str(next(iter(condition), "")).startswith("$"):
            return condition


def random_sort(rng: random.Random, kind: Kind[Anything], upgraded: list[RawDocument]) -> list[tuple[str, int]]:
    """
    Return sort keys without ties; two parallel arrays in one key are refused by every server.
    """
    if rng.random() < 0.5:
        return []
    path = rng.choice(["_id", "_id", *paths_of(rng.choice(upgraded)), *_written(kind), *PATHS])
    direction = rng.choice([1, -1])
    return [("_id", direction)] if path == "_id" else [(path, direction), ("_id", rng.choice([1, -1]))]
