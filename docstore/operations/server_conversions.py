"""
What `ConvertType` does to a value on the server, where that is certain to be what `conversions` does.

Seen on 6.0.5: `$toString` of a double writes six digits, `$toDecimal` of one writes fifteen, dates outside the years 0
to 9999 have no text. So doubles go through the fifteen digits where these say all, and texts must be short and plain.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

from docstore.core.expressions import Expression, Literal
from docstore.operations.conversions import (
    DATE_TEXT,
    FIRST_DATE,
    INT32_MAX,
    INT32_MIN,
    INT64_MAX,
    INT64_MIN,
    INTEGER_TEXT,
    LAST_DATE,
    NUMBER_TEXT,
    OBJECT_ID_TEXT,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """
    How values of one type are converted.

    Attributes:
        value: The result, where *accepts* holds.
        accepts: Where the result is certain to be Python's.
        rejects: Where Python certainly has no result.
    """

    value: Expression
    accepts: Expression = True
    rejects: Expression = False


#: From the name of a BSON type to its rule. Types that are not there have no result.
Rules: TypeAlias = dict[str, Rule]

_SHORT_INTEGER: Final = r"[+-]?[0-9]{1,18}"
_SHORT_NUMBER: Final = r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?"
_COMMON_DATE: Final = (
    r"[1-8][0-9]{3}-[0-9]{2}-[0-9]{2}"
    r"(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{3})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])?)?"
)


def _to_int64(value: Expression) -> Rules:
    whole = _all({"$gte": [value, INT64_MIN]}, {"$lte": [value, INT64_MAX]}, {"$eq": [value, {"$trunc": [value]}]})
    converted = {"$toLong": value}
    return {
        "int": Rule(converted),
        "long": Rule(value),
        "double": Rule(converted, whole, _not(whole)),
        "decimal": Rule(converted, whole, _not(whole)),
        "bool": Rule(converted),
        "string": _text_rule(value, converted, _SHORT_INTEGER, INTEGER_TEXT),
    }


def _to_int(value: Expression) -> Rules:
    fits = _all({"$gte": ["$$dsLong", INT32_MIN]}, {"$lte": ["$$dsLong", INT32_MAX]})
    narrow = {"$cond": [fits, {"$toInt": "$$dsLong"}, "$$dsLong"]}
    return {
        kind: Rule({"$let": {"vars": {"dsLong": rule.value}, "in": narrow}}, rule.accepts, rule.rejects)
        for kind, rule in _to_int64(value).items()
    }


def _to_float(value: Expression) -> Rules:
    converted = {"$toDouble": value}
    same = {"$eq": [converted, value]}
    size = {"$abs": value}
    common = {"$or": [{"$eq": [value, 0]}, _all({"$gte": [size, 1e-300]}, {"$lte": [size, 1e300]})]}
    return {
        "int": Rule(converted),
        "long": Rule(converted, same, _not(same)),
        "double": Rule(value),
        "decimal": Rule(converted, common),
        "bool": Rule(converted),
        "string": _text_rule(value, converted, _SHORT_NUMBER, NUMBER_TEXT),
    }


def _to_text(value: Expression) -> Rules:
    converted = {"$toString": value}
    has_text = _all({"$gte": [value, Literal(FIRST_DATE)]}, {"$lte": [value, Literal(LAST_DATE)]})
    finite = _all({"$gt": [value, float("-inf")]}, {"$lt": [value, float("inf")]})
    return {
        "int": Rule(converted),
        "long": Rule(converted),
        "double": Rule(_double_text(value), _has_double_text(value)),
        "decimal": Rule(converted, finite),
        "bool": Rule(converted),
        "objectId": Rule(converted),
        "date": Rule(converted, has_text, _not(has_text)),
        "string": Rule(value),
    }


def _to_bool(value: Expression) -> Rules:
    zero_or_one, true_or_false = {"$in": [value, [0, 1]]}, {"$in": [value, ["true", "false"]]}
    number = Rule({"$eq": [value, 1]}, zero_or_one, _not(zero_or_one))
    text = Rule({"$eq": [value, "true"]}, true_or_false, _not(true_or_false))
    return {**dict.fromkeys(("int", "long", "double", "decimal"), number), "bool": Rule(value), "string": text}


def _to_datetime(value: Expression) -> Rules:
    whole = _to_int64(value)["double"]
    return {
        "date": Rule(value),
        **dict.fromkeys(("int", "long"), Rule({"$toDate": {"$toLong": value}})),
        "double": Rule({"$toDate": whole.value}, whole.accepts, whole.rejects),
        "string": _text_rule(value, {"$toDate": value}, _COMMON_DATE, DATE_TEXT, otherwise="date"),
    }


def _to_decimal(value: Expression) -> Rules:
    converted = {"$toDecimal": value}
    return {
        "int": Rule(converted),
        "long": Rule(converted),
        "double": Rule({"$toDecimal": _double_text(value)}, _has_double_text(value)),
        "decimal": Rule(value),
        "bool": Rule(converted),
        "string": _text_rule(value, converted, _SHORT_NUMBER, NUMBER_TEXT),
    }


def _to_object_id(value: Expression) -> Rules:
    return {
        "objectId": Rule(value),
        "string": _text_rule(value, {"$toObjectId": value}, OBJECT_ID_TEXT, OBJECT_ID_TEXT),
    }


#: The rules of every type to which `ConvertType` converts, for the value that an expression gives.
SERVER_CONVERSIONS: Final[dict[type, Callable[[Expression], Rules]]] = {
    int: _to_int,
    Int64: _to_int64,
    float: _to_float,
    str: _to_text,
    bool: _to_bool,
    datetime.datetime: _to_datetime,
    Decimal128: _to_decimal,
    ObjectId: _to_object_id,
}


def _all(*conditions: Expression) -> Expression:
    return {"$and": list(conditions)}


def _not(condition: Expression) -> Expression:
    return {"$not": [condition]}


def _is_written(value: Expression, pattern: str) -> Expression:
    # `\z`, because `$` also stands before a line feed at the end.
    return {"$regexMatch": {"input": value, "regex": rf"^(?:{pattern})\z"}}


def _text_rule(
    value: Expression, converted: Expression, certain: str, possible: str, *, otherwise: str | None = None
) -> Rule:
    accepts = _is_written(value, certain)
    if otherwise is not None:
        # There are texts of this form that say no date (the 30th of February).
        tried = {"$convert": {"input": value, "to": otherwise, "onError": None}}
        accepts = _all(accepts, {"$ne": [tried, None]})
    return Rule(converted, accepts, _not(_is_written(value, possible)))


def _has_double_text(value: Expression) -> Expression:
    """
    Fifteen digits say the number, and it is written without an exponent and with a point.
    """
    size = {"$abs": value}
    common = _all({"$gte": [size, 1e-4]}, {"$lt": [size, 1e14]}, {"$eq": [{"$toDouble": {"$toDecimal": value}}, value]})
    return {"$or": [{"$eq": [value, 0]}, common]}


def _double_text(value: Expression) -> Expression:
    digits = {"$rtrim": {"input": {"$toString": {"$toDecimal": value}}, "chars": "0"}}
    last = {"$substrBytes": ["$$dsDigits", {"$subtract": [{"$strLenBytes": "$$dsDigits"}, 1]}, 1]}
    number = {"$cond": [{"$eq": [last, "."]}, {"$concat": ["$$dsDigits", "0"]}, "$$dsDigits"]}
    zero = {"$cond": [{"$eq": [{"$toString": value}, "-0"]}, "-0.0", "0.0"]}
    return {"$cond": [{"$eq": [value, 0]}, zero, {"$let": {"vars": {"dsDigits": digits}, "in": number}}]}
