"""
The annotated types outside the database: JSON, schemas, and what they refuse.
"""

import datetime
import re
import uuid
from decimal import Decimal
from typing import Any

import pytest
from bson import Binary, Code, DatetimeMS, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from pydantic import TypeAdapter, ValidationError

from docstore import (
    BsonBinary,
    BsonCode,
    BsonDate,
    BsonDecimal,
    BsonLong,
    BsonMaxKey,
    BsonMinKey,
    BsonObjectId,
    BsonReference,
    BsonRegex,
    BsonTimestamp,
    UtcDatetime,
)

EXAMPLES: list[tuple[Any, Any]] = [
    (BsonBinary, Binary(b"bytes", 5)),
    (BsonCode, Code("return 1")),
    (BsonDate, datetime.datetime(2020, 1, 2, 3, 4, 5)),  # noqa: DTZ001 - stored dates are naive UTC
    (BsonDate, DatetimeMS(10**15)),
    (BsonDecimal, Decimal("1.50")),
    (BsonLong, 7),
    (BsonMaxKey, MaxKey()),
    (BsonMinKey, MinKey()),
    (BsonObjectId, ObjectId("0123456789ab0123456789ab")),
    (BsonReference, DBRef("things", 5)),
    (BsonRegex, Regex("^a", "i")),
    (BsonTimestamp, Timestamp(5, 6)),
    (UtcDatetime, datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)),
]


@pytest.mark.parametrize(("annotation", "value"), EXAMPLES, ids=[f"example{place}" for place in range(len(EXAMPLES))])
def test_annotated_types_come_back_from_json(annotation: Any, value: Any) -> None:
    adapter = TypeAdapter(annotation)
    back = adapter.validate_json(adapter.dump_json(value))
    assert (type(back), back) == (type(value), value)


@pytest.mark.parametrize(("annotation", "value"), EXAMPLES, ids=[f"example{place}" for place in range(len(EXAMPLES))])
def test_annotated_types_have_a_json_schema(annotation: Any, value: Any) -> None:
    del value
    assert TypeAdapter(annotation).json_schema()


ANNOTATIONS = list({id(annotation): annotation for annotation, _ in EXAMPLES}.values())


@pytest.mark.parametrize("annotation", ANNOTATIONS, ids=[f"annotation{place}" for place in range(len(ANNOTATIONS))])
def test_annotated_types_refuse_other_values(annotation: Any) -> None:
    for wrong in ("no such thing", {"a": 1}, [1]):
        with pytest.raises(ValidationError):
            TypeAdapter(annotation).validate_python(wrong)


def test_object_id_takes_its_digits() -> None:
    digits = "0123456789ab0123456789ab"
    assert TypeAdapter(BsonObjectId).validate_python(digits) == ObjectId(digits)


def test_binary_takes_bytes_and_uuids() -> None:
    adapter = TypeAdapter(BsonBinary)
    assert adapter.validate_python(b"x") == Binary(b"x", 0)
    assert adapter.validate_python(uuid.UUID(int=5)) == Binary(uuid.UUID(int=5).bytes, 4)


def test_regex_takes_a_compiled_pattern() -> None:
    assert TypeAdapter(BsonRegex).validate_python(re.compile("^a", re.IGNORECASE)) == Regex("^a", "i").from_native(
        re.compile("^a", re.IGNORECASE)
    )


def test_long_is_an_int64_for_bson_and_within_64_bits() -> None:
    adapter = TypeAdapter(BsonLong)
    assert type(adapter.dump_python(7)) is Int64
    assert type(adapter.validate_python(Int64(7))) is int
    for wrong in (2**63, -(2**63) - 1):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)


def test_decimal_takes_decimal128() -> None:
    assert TypeAdapter(BsonDecimal).validate_python(Decimal128("1.50")) == Decimal("1.50")


def test_utc_datetime_takes_naive_ones_for_utc_and_converts_others() -> None:
    adapter = TypeAdapter(UtcDatetime)
    noon = datetime.datetime(2020, 1, 1, 12, tzinfo=datetime.UTC)
    assert adapter.validate_python(noon.replace(tzinfo=None)) == noon
    east = noon.astimezone(datetime.timezone(datetime.timedelta(hours=3)))
    assert adapter.validate_python(east).tzinfo is datetime.UTC
