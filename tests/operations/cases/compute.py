from collections.abc import Mapping
from random import Random
from typing import Any

from docstore import operations as ops
from docstore.core.bson_values import RawDocument, comparison_key, type_name
from docstore.core.paths import MISSING, lookup
from tests.operations.case import Case, maybe, shaped
from tests.operations.values import anything, scalar, text


def _point(row: Mapping[str, Any]) -> Any:
    values = [lookup(row, ("lon",)), lookup(row, ("lat",))]
    return {"type": "Point", "coordinates": [None if value is MISSING else value for value in values]}


def _first_name(row: Mapping[str, Any]) -> Any:
    name = lookup(row, ("x", "name"))
    return name.split(" ")[0] if type_name(name) == "string" else MISSING


def _same(row: Mapping[str, Any]) -> Any:
    values = [lookup(row, path) for path in (("a",), ("x", "a"))]
    if MISSING in values:
        return values[0] is values[1]
    return comparison_key(values[0]) == comparison_key(values[1])


def _sizes(row: Mapping[str, Any]) -> Any:
    items = lookup(row, ("items",))
    if not isinstance(items, list):
        return MISSING
    return [{"type": type_name(item), "value": item} for item in items if item is not None]


FIRST_NAME = {
    "$cond": [
        {"$eq": [{"$type": "$x.name"}, "string"]},
        {"$let": {"vars": {"parts": {"$split": ["$$CURRENT.x.name", " "]}}, "in": {"$arrayElemAt": ["$$parts", 0]}}},
        "$$REMOVE",
    ]
}
SIZES = {
    "$cond": [
        {"$isArray": "$items"},
        {
            "$map": {
                "input": {"$filter": {"input": "$items", "cond": {"$ne": [{"$type": "$$this"}, "null"]}}},
                "as": "one",
                "in": {"type": {"$type": "$$one"}, "value": "$$one"},
            }
        },
        "$$REMOVE",
    ]
}


def _documents(random: Random) -> RawDocument:
    return shaped(random, lon=maybe(random, scalar(random)), lat=maybe(random, scalar(random)))


CASES = (
    Case(
        ops.Compute("location", {"type": "Point", "coordinates": ["$lon", "$lat"]}, _point),
        _documents,
        _documents,
    ),
    Case(
        ops.Compute("location", {"type": "Point", "coordinates": ["$lon", "$lat"]}, _point, replace=True),
        lambda random: shaped(random, location=maybe(random, {"old": 1}), lon=maybe(random, scalar(random))),
        None,
    ),
    Case(
        ops.Compute("y.first", FIRST_NAME, _first_name),
        lambda random: shaped(random, x__name=maybe(random, text(random)), y__z=maybe(random, 1, 0.5)),
        lambda random: shaped(random, x__name=maybe(random, text(random)), y__z=1),
    ),
    Case(
        ops.Compute("y.first", FIRST_NAME, _first_name, replace=True),
        lambda random: shaped(
            random, x__name=maybe(random, text(random)), y__z=1, y__first=maybe(random, anything(random))
        ),
        None,
    ),
    Case(
        ops.Compute("same", {"$eq": ["$a", "$x.a"]}, _same, requires={"$in": [{"$type": "$x"}, ["object", "missing"]]}),
        lambda random: shaped(random, a=maybe(random, scalar(random)), x__a=maybe(random, scalar(random))),
        lambda random: shaped(random, a=maybe(random, scalar(random)), x__a=maybe(random, scalar(random))),
    ),
    Case(
        ops.Compute("items", SIZES, _sizes, replace=True, inverse=ops.RemoveField("items")),
        lambda random: shaped(random, items=maybe(random, [anything(random) for _ in range(random.randrange(4))])),
        None,
    ),
    Case(
        ops.Compute(
            "got", {"$getField": {"field": {"$literal": "$odd.name"}}}, lambda row: row.get("$odd.name", MISSING)
        ),
        lambda random: shaped(random, **{"$odd.name": maybe(random, anything(random))}),
        lambda random: shaped(random, **{"$odd.name": maybe(random, anything(random))}),
    ),
)


def arbitrary(random: Random, paths: list[str]) -> ops.Compute:
    source = tuple(random.choice(paths).split("."))
    type_of = {"type": {"$type": "$" + ".".join(source)}, "size": {"$literal": "$size"}}

    def describe(row: Mapping[str, Any]) -> Any:
        found = lookup(row, source)
        return {"type": "missing" if found is MISSING else type_name(found), "size": "$size"}

    parents = [
        {"$in": [{"$type": "$" + ".".join(source[:end])}, ["object", "missing"]]} for end in range(1, len(source))
    ]
    return ops.Compute(
        random.choice(paths), type_of, describe, replace=random.random() < 0.5, requires={"$and": parents}
    )
