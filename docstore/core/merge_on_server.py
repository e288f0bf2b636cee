"""
Three ways meet, on the server: `merge.merged_value` of several values as one expression of constant size.

Expressions cannot call themselves, so the depth of documents is gone through by two loops: the first opens, one after
the other, the documents and lists in which all three differ, and says for each part of them what it becomes or that
it has to be opened itself; the second puts them together again, the innermost first.
"""

from collections.abc import Mapping
from typing import Final

from docstore.core.expressions import Expression, is_type

#: The least bytes that a document or a list takes within another: how many there can be follows from the size.
_LEAST_BYTES: Final = 7


def opened(stored: Expression, before: Expression, now: Expression) -> Expression:
    """Build the condition that a merge has to look into three values: documents, or lists of elements that match."""
    return {
        "$or": [
            {"$and": [is_type(value, "object") for value in (stored, before, now)]},
            {
                "$and": [
                    *(is_type(value, "array") for value in (stored, before, now)),
                    {"$eq": [_size(stored), _size(before)]},
                ]
            },
        ]
    }


def merged_on_server(several: Expression) -> Expression:
    """
    Build the document of what `merged_value` gives of several values, with the server's `$eq` as "the same".

    Args:
        several: A list of `{"k": name, "s": stored, "b": before, "n": now}`, for all of which `opened` holds.
    """
    # As many turns as there could be documents and lists; in the last of them, nothing is left to be opened.
    turns = {"$range": [0, {"$ceil": {"$divide": [{"$bsonSize": {"v": "$$dsSeveral"}}, _LEAST_BYTES]}}]}
    opening = {
        "$reduce": {
            "input": turns,
            "initialValue": {"open": "$$dsSeveral", "parts": []},
            "in": _let(
                {"dsAt": "$$this", "dsNodes": "$$value"},
                {
                    "$cond": [
                        {"$lt": ["$$dsAt", {"$size": "$$dsNodes.open"}]},
                        _let(
                            {"dsNode": _at("$$dsNodes.open", "$$dsAt")},
                            _let({"dsParts": _decided(_parts())}, _next_nodes()),
                        ),
                        "$$dsNodes",
                    ]
                },
            ),
        }
    }
    wholes = {
        "$map": {
            "input": _filter(_closed(), "dsOne", is_type("$$dsOne.p", "missing")),
            "as": "dsOne",
            "in": {"k": "$$dsOne.k", "v": "$$dsOne.v"},
        }
    }
    merged = _let({"dsOpened": opening}, {"$arrayToObject": [wholes]})
    return _let({"dsSeveral": several}, {"$cond": [{"$eq": ["$$dsSeveral", []]}, {}, merged]})


def _next_nodes() -> Expression:
    to_open = {
        "$map": {
            "input": _filter("$$dsParts", "dsPart", is_type("$$dsPart.v", "missing")),
            "as": "dsPart",
            "in": {"$mergeObjects": ["$$dsPart", {"p": "$$dsAt"}]},
        }
    }
    return {
        "open": {"$concatArrays": ["$$dsNodes.open", to_open]},
        "parts": {"$concatArrays": ["$$dsNodes.parts", [{"of": "$$dsParts"}]]},
    }


def _closed() -> Expression:
    """Build the list of what was opened, from the innermost to the whole, each with what it has become."""
    inner = {
        "$first": [_filter("$$dsClosed", "dsOne", {"$and": [{"$eq": ["$$dsOne.p", "$$dsAt"]}, _same_key("$$dsOne")]})]
    }
    part = {"$cond": [is_type("$$dsPart.v", "missing"), _let({"dsInner": inner}, "$$dsInner.v"), "$$dsPart.v"]}
    of_list = {"$map": {"input": "$$dsMade", "as": "dsPart", "in": part}}
    of_document = {
        "$arrayToObject": [{"$map": {"input": "$$dsMade", "as": "dsPart", "in": {"k": "$$dsPart.k", "v": part}}}]
    }
    value = {"$cond": [is_type("$$dsNode.n", "array"), of_list, of_document]}
    made = _let({"dsMade": {"$getField": {"field": "of", "input": _at("$$dsOpened.parts", "$$dsAt")}}}, value)
    return {
        "$reduce": {
            "input": {"$reverseArray": {"$range": [0, {"$size": "$$dsOpened.open"}]}},
            "initialValue": [],
            "in": _let(
                {"dsAt": "$$this", "dsClosed": "$$value", "dsNode": _at("$$dsOpened.open", "$$this")},
                {"$concatArrays": ["$$dsClosed", [{"p": "$$dsNode.p", "k": "$$dsNode.k", "v": made}]]},
            ),
        }
    }


def _parts() -> Expression:
    """Build what a node falls into: parts that are settled (*v*), and parts in which all three have something."""
    return {"$cond": [is_type("$$dsNode.n", "array"), _elements(), _fields()]}


def _decided(parts: Expression) -> Expression:
    """Build the parts, settled where it need not be looked into them; the others are left to be opened."""
    stored, before, now = "$$dsPart.s", "$$dsPart.b", "$$dsPart.n"
    settled = {
        "$switch": {
            "branches": [
                {"case": {"$ne": [{"$type": "$$dsPart.v"}, "missing"]}, "then": "$$dsPart"},
                {"case": {"$eq": [before, now]}, "then": {"k": "$$dsPart.k", "v": stored}},
                {"case": opened(stored, before, now), "then": "$$dsPart"},
            ],
            "default": {"k": "$$dsPart.k", "v": now},
        }
    }
    return {"$map": {"input": parts, "as": "dsPart", "in": settled}}


def _fields() -> Expression:
    """Build the parts of a document, in the order in which `merge` leaves them."""
    of_stored = {
        "$map": {
            "input": "$$dsS",
            "as": "dsField",
            "in": _let(
                {"dsHere": _named("$$dsN", "$$dsField.k"), "dsThen": _named("$$dsB", "$$dsField.k")},
                {
                    "$switch": {
                        "branches": [
                            {
                                "case": {"$ne": [{"$type": "$$dsHere"}, "missing"]},
                                "then": {
                                    "k": "$$dsField.k",
                                    "s": "$$dsField.v",
                                    "b": "$$dsThen.v",
                                    "n": "$$dsHere.v",
                                },
                            },
                            {"case": is_type("$$dsThen", "missing"), "then": "$$dsField"},
                        ],
                        "default": None,
                    }
                },
            ),
        }
    }
    added = _filter(
        "$$dsN",
        "dsField",
        {
            "$and": [
                {"$not": [{"$in": ["$$dsField.k", "$$dsS.k"]}]},
                _let(
                    {"dsThen": _named("$$dsB", "$$dsField.k")},
                    {"$or": [is_type("$$dsThen", "missing"), {"$ne": ["$$dsThen.v", "$$dsField.v"]}]},
                ),
            ]
        },
    )
    as_stored = {"$concatArrays": [_filter(of_stored, "dsField", {"$ne": ["$$dsField", None]}), added]}
    expected = {
        "$concatArrays": [
            _filter("$$dsB.k", "dsName", {"$in": ["$$dsName", "$$dsN.k"]}),
            _filter("$$dsN.k", "dsName", {"$not": [{"$in": ["$$dsName", "$$dsB.k"]}]}),
        ]
    }
    found = {"$map": {"input": "$$dsN.k", "as": "dsName", "in": _named("$$dsFields", "$$dsName")}}
    reordered = {
        "$concatArrays": [
            _filter(found, "dsField", {"$ne": ["$$dsField", None]}),
            _filter("$$dsFields", "dsField", {"$not": [{"$in": ["$$dsField.k", "$$dsN.k"]}]}),
        ]
    }
    lists = {
        name: {"$objectToArray": f"$$dsNode.{letter}"}
        for name, letter in zip(("dsS", "dsB", "dsN"), "sbn", strict=True)
    }
    ordered = {"$cond": [{"$eq": ["$$dsN.k", expected]}, "$$dsFields", reordered]}
    return _let(lists, _let({"dsFields": as_stored}, ordered))


def _elements() -> Expression:
    """Build the parts of a list: elements found again where they were, found elsewhere, or new."""
    places = {"$range": [0, {"$size": "$$dsNode.b"}]}
    is_here = {"$eq": [_at("$$dsNode.b", "$$dsPlace"), _at("$$dsNode.n", "$$dsPlace")]}
    free = {
        "$and": [
            {"$not": [{"$in": ["$$dsPlace", "$$dsFound.taken"]}]},
            {"$eq": [_at("$$dsNode.b", "$$dsPlace"), _at("$$dsNode.n", "$$dsAtElement")]},
        ]
    }
    origin = {
        "$cond": [
            {"$eq": [_at("$$dsNode.b", "$$dsAtElement"), _at("$$dsNode.n", "$$dsAtElement")]},
            "$$dsAtElement",
            {"$ifNull": [{"$first": [_filter(places, "dsPlace", free)]}, -1]},
        ]
    }
    found = {
        "$reduce": {
            "input": {"$range": [0, {"$size": "$$dsNode.n"}]},
            "initialValue": {"taken": _filter(places, "dsPlace", is_here), "origins": []},
            "in": _let(
                {"dsAtElement": "$$this", "dsFound": "$$value"},
                _let(
                    {"dsOrigin": origin},
                    {
                        "taken": {"$concatArrays": ["$$dsFound.taken", ["$$dsOrigin"]]},
                        "origins": {"$concatArrays": ["$$dsFound.origins", ["$$dsOrigin"]]},
                    },
                ),
            ),
        }
    }
    in_its_place = {
        "$and": [
            {"$eq": [{"$size": "$$dsNode.n"}, {"$size": "$$dsNode.b"}]},
            {"$not": [{"$in": ["$$dsAtElement", "$$dsFound.taken"]}]},
        ]
    }
    element = _let(
        {"dsOrigin": _at("$$dsFound.origins", "$$dsAtElement")},
        {
            "$switch": {
                "branches": [
                    {
                        "case": {"$gte": ["$$dsOrigin", 0]},
                        "then": {"k": "$$dsAtElement", "v": _at("$$dsNode.s", "$$dsOrigin")},
                    },
                    {
                        "case": in_its_place,
                        "then": {
                            "k": "$$dsAtElement",
                            **{letter: _at(f"$$dsNode.{letter}", "$$dsAtElement") for letter in "sbn"},
                        },
                    },
                ],
                "default": {"k": "$$dsAtElement", "v": _at("$$dsNode.n", "$$dsAtElement")},
            }
        },
    )
    each = {"$map": {"input": {"$range": [0, {"$size": "$$dsNode.n"}]}, "as": "dsAtElement", "in": element}}
    return _let({"dsFound": found}, each)


def _let(variables: Mapping[str, Expression], within: Expression) -> Expression:
    return {"$let": {"vars": dict(variables), "in": within}}


def _filter(items: Expression, name: str, condition: Expression) -> Expression:
    return {"$filter": {"input": items, "as": name, "cond": condition}}


def _at(items: Expression, place: Expression) -> Expression:
    return {"$arrayElemAt": [items, place]}


def _named(fields: Expression, name: Expression) -> Expression:
    return {"$first": [_filter(fields, "dsOther", {"$eq": ["$$dsOther.k", name]})]}


def _same_key(item: str) -> Expression:
    return {"$eq": [f"{item}.k", "$$dsPart.k"]}


def _size(items: Expression) -> Expression:
    # Asked of anything else too, where a server does not stop at the first condition.
    return {"$cond": [{"$isArray": [items]}, {"$size": items}, -1]}
