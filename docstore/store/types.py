"""
Annotated types for BSON values that pydantic alone refuses, or brings back as another type.

`docs/types.md` has the table of every BSON type, what becomes of it in a model, and back.
"""

import datetime
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Final, TypeAlias

from bson import json_util
from bson.binary import Binary, UuidRepresentation
from bson.code import Code
from bson.codec_options import DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp
from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1

_EXTENDED_JSON: Final = json_util.CANONICAL_JSON_OPTIONS.with_options(
    tz_aware=False, tzinfo=None, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)


class _Exactly:
    """
    A field that holds instances of one BSON class.

    Args:
        kind: The class.
        accept: Turns other values into it, or returns them as they are.
        to_json: What an instance becomes in JSON; MongoDB's Extended JSON unless said otherwise, which is read too.
        json_schema: What that looks like.
    """

    def __init__(
        self,
        kind: type,
        *,
        accept: Callable[[Any], Any] = lambda value: value,
        to_json: Callable[[Any], Any] = json_util.default,
        json_schema: JsonSchemaValue | None = None,
    ) -> None:
        self._kind = kind
        self._accept = accept
        self._to_json = to_json
        self._json_schema = {"type": "object"} if json_schema is None else json_schema

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        del source, handler
        return core_schema.no_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(self._to_json, when_used="json"),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        del schema, handler
        return dict(self._json_schema)

    def _validate(self, value: Any) -> Any:
        accepted = self._accept(value)
        if isinstance(accepted, dict):
            accepted = _from_extended_json(accepted)
        if not isinstance(accepted, self._kind):
            name = self._kind.__name__
            raise PydanticCustomError("bson_type", "Input should be a {name}", {"name": name})
        return accepted


def _from_extended_json(value: dict[str, Any]) -> Any:
    parts = {name: _from_extended_json(part) if isinstance(part, dict) else part for name, part in value.items()}
    try:
        return json_util.object_hook(parts, _EXTENDED_JSON)
    except (TypeError, ValueError, KeyError, AttributeError):
        return value


def _object_id(value: Any) -> Any:
    return ObjectId(value) if isinstance(value, str) and ObjectId.is_valid(value) else value


def _binary(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        return Binary.from_uuid(value, UuidRepresentation.STANDARD)
    return Binary(value) if type(value) is bytes else value


def _regex(value: Any) -> Any:
    return Regex.from_native(value) if isinstance(value, re.Pattern) else value


def _decimal(value: Any) -> Any:
    return value.to_decimal() if isinstance(value, Decimal128) else value


def _utc(value: datetime.datetime) -> datetime.datetime:
    if value.tzinfo is None:
        return value.replace(tzinfo=datetime.UTC)
    return value.astimezone(datetime.UTC)


class _AnyDate(_Exactly):
    """A `datetime` where Python has one for the date, else a `DatetimeMS`."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        odd = super().__get_pydantic_core_schema__(source, handler)
        return core_schema.union_schema([core_schema.datetime_schema(), odd])

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        del schema, handler
        return {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "object"}]}


#: An ObjectId; 24 hexadecimal digits are taken too, and are what JSON gets.
BsonObjectId: TypeAlias = Annotated[
    ObjectId,
    _Exactly(ObjectId, accept=_object_id, to_json=str, json_schema={"type": "string", "pattern": "^[0-9a-fA-F]{24}$"}),
]
#: An int that is always stored as int64, however small it is.
BsonLong: TypeAlias = Annotated[
    int, Field(ge=_INT64_MIN, le=_INT64_MAX), PlainSerializer(Int64, return_type=int, when_used="always")
]
#: A `decimal.Decimal` that is stored as Decimal128 and read from it; at most 34 digits.
BsonDecimal: TypeAlias = Annotated[Decimal, BeforeValidator(_decimal)]
#: A date that may lie outside the years 1 to 9999, where it is a `bson.DatetimeMS`; else a naive `datetime` in UTC.
BsonDate: TypeAlias = Annotated[datetime.datetime | DatetimeMS, _AnyDate(DatetimeMS)]
#: An aware `datetime` in UTC; naive ones are taken for UTC, other time zones are converted.
UtcDatetime: TypeAlias = Annotated[datetime.datetime, AfterValidator(_utc)]
#: Binary data with its subtype (also of UUIDs in one of the old byte orders, subtype 3).
BsonBinary: TypeAlias = Annotated[Binary, _Exactly(Binary, accept=_binary)]
#: A regular expression as it is stored; not compiled, because the server's dialect is not Python's.
BsonRegex: TypeAlias = Annotated[Regex[Any], _Exactly(Regex, accept=_regex)]
#: A replication timestamp.
BsonTimestamp: TypeAlias = Annotated[Timestamp, _Exactly(Timestamp)]
#: JavaScript code, with or without a scope.
BsonCode: TypeAlias = Annotated[Code, _Exactly(Code)]
#: A reference to a row of another collection.
BsonReference: TypeAlias = Annotated[DBRef, _Exactly(DBRef)]
#: The value that is below all others.
BsonMinKey: TypeAlias = Annotated[MinKey, _Exactly(MinKey)]
#: The value that is above all others.
BsonMaxKey: TypeAlias = Annotated[MaxKey, _Exactly(MaxKey)]
