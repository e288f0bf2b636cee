"""
From the stored bytes of a row to the model.
"""

import datetime
from typing import Any

import bson
import pytest
from bson import Binary, Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.bson_values import encode
from docstore.core.document import get_origin_row
from docstore.errors import (
    DocumentError,
    InvalidDocumentError,
    NewerVersionError,
    RetiredVersionError,
    UnknownVersionError,
    UpgradeFailedError,
)
from docstore.store.projection import ProjectionReader
from docstore.store.rows import RowReader


class Person(Document):
    name: str
    age: int = 0


def _kind(model: type[Document] = Person, **options: Any) -> Kind[Any]:
    first = options.get("floor", 1)
    steps = [Step(ops.RenameField("full_name", "name"), to=first + 1)]
    return Kind("person", collection="people", model=model, steps=steps, **options)


person = _kind()


def _latest(**fields: Any) -> dict[str, Any]:
    return {"_id": 1, "name": "Ada", **fields, "schema_version": 2}


def _no_utf8(row: dict[str, Any]) -> bytes:
    return encode(row).replace(b"BAD", b"\xff\xfe\xfd")


@pytest.mark.parametrize("tag", [{}, {"schema_version": None}, {"schema_version": 1}, {"schema_version": 1.0}])
def test_a_row_below_latest_comes_back_as_the_latest_model(tag: dict[str, Any]) -> None:
    found = RowReader(person).read(encode({"_id": 1, "full_name": "Ada", **tag}))
    assert found == Person(id=1, name="Ada")


def test_a_document_remembers_the_stored_bytes_and_shares_nothing_with_them() -> None:
    class Tagged(Document):
        tags: Any

    raw = encode({"_id": 1, "tags": [1.0, {"a": Decimal128("1.10")}], "schema_version": 2})
    found = RowReader(_kind(Tagged)).read(raw)
    found.tags.append("more")
    found.tags[1]["a"] = None
    assert get_origin_row(found) == raw


@pytest.mark.parametrize("extra", ["ignore", "allow", "forbid"])
@pytest.mark.parametrize("version", [1, 2])
def test_the_model_never_sees_the_tag(extra: Any, version: int) -> None:
    seen: list[set[str]] = []

    class Watching(Document):
        model_config = ConfigDict(extra=extra)
        name: str

        @model_validator(mode="before")
        @classmethod
        def watch(cls, row: dict[str, Any]) -> dict[str, Any]:
            seen.append(set(row))
            return row

    name = "name" if version == 2 else "full_name"
    raw = encode({"_id": 1, name: "Ada", "schema_version": version})
    RowReader(_kind(Watching)).read(raw)
    assert next(RowReader(_kind(Watching)).rows(raw)).name == "Ada"
    assert seen == [{"_id", "name"}] * 2


@pytest.mark.parametrize(
    ("row", "error", "facts"),
    [
        (_latest() | {"schema_version": 3}, NewerVersionError, {"found": 3, "latest": 2}),
        (_latest() | {"schema_version": 2.5}, UnknownVersionError, {"found_type": "double"}),
        (_latest() | {"schema_version": True}, UnknownVersionError, {"found_type": "bool"}),
        (_latest() | {"schema_version": [2]}, UnknownVersionError, {"found_type": "array"}),
        (_latest() | {"schema_version": Decimal128("2")}, UnknownVersionError, {"found_type": "decimal"}),
        (_latest() | {"schema_version": -1}, UnknownVersionError, {"found_type": "int"}),
        ({"_id": 1, "full_name": "A", "name": "B"}, UpgradeFailedError, {"step": 2, "version": 1, "path": "name"}),
        (_latest(age="secret"), InvalidDocumentError, {"problems": ("int_parsing @ age",), "version": 2}),
        ({"_id": 1}, InvalidDocumentError, {"problems": ("missing @ name",), "version": 1}),
    ],
)
def test_a_row_that_cannot_be_read_raises_its_error_with_facts_and_no_values(
    row: dict[str, Any], error: type[DocumentError], facts: dict[str, Any]
) -> None:
    with pytest.raises(error) as raised:
        RowReader(person).read(encode(row))
    assert {name: getattr(raised.value, name) for name in facts} == facts
    assert getattr(raised.value, "id") == 1  # noqa: B009 - not all of the tree have one
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None or "secret" not in str(raised.value.__cause__)


def test_a_row_below_the_floor_is_retired() -> None:
    with pytest.raises(RetiredVersionError) as raised:
        RowReader(_kind(floor=2)).read(encode({"_id": 1, "schema_version": 1}))
    assert (raised.value.found, raised.value.floor) == (1, 2)


def test_whatever_a_validator_raises_is_the_fault_of_its_row() -> None:
    class Picky(Document):
        name: str

        @field_validator("name")
        @classmethod
        def look_up(cls, name: str) -> str:
            return {"Ada": "Ada"}[name]

    reader = RowReader(_kind(Picky))
    batch = encode(_latest()) + encode(_latest(name="secret")) + encode(_latest())
    errors: list[DocumentError] = []
    assert len(list(reader.rows(batch, errors.append))) == 2
    assert [str(error) for error in errors] == [
        "person 1 (stored at version 2) does not fit the model: KeyError @ (document)"
    ]


def test_whatever_detect_raises_is_the_fault_of_its_row() -> None:
    def detect(row: dict[str, Any]) -> int:
        return int(row["shape"])

    reader = RowReader(_kind(detect=detect))
    batch = encode({"_id": 1}) + encode({"_id": 2, "shape": 1, "full_name": "Ada"})
    errors: list[DocumentError] = []
    assert [found.id for found in reader.rows(batch, errors.append)] == [2]
    (error,) = errors
    assert isinstance(error, UnknownVersionError)
    assert "KeyError" in error.found_type
    assert str(error).endswith("has no 'schema_version', and detect() raised KeyError")


def test_bytes_that_are_no_bson_fail_their_row_and_no_other() -> None:
    rows = [encode(_latest(_id=number)) for number in range(300)]
    rows[130] = _no_utf8(_latest(_id=130, name="BAD"))
    errors: list[DocumentError] = []
    found = [one.id for one in RowReader(person).rows(b"".join(rows), errors.append)]
    assert found == [number for number in range(300) if number != 130]
    (error,) = errors
    assert isinstance(error, InvalidDocumentError)
    assert error.id == 130


def test_without_a_report_the_rows_before_the_bad_one_come_first() -> None:
    batch = encode(_latest(_id=1)) + encode(_latest(_id=2)) + encode(_latest(_id=3, age="x"))
    rows = RowReader(person).rows(batch)
    assert [next(rows).id, next(rows).id] == [1, 2]
    with pytest.raises(InvalidDocumentError):
        next(rows)


def test_upgraded_rows_are_handed_over_tagged_and_in_stored_order() -> None:
    handed: list[tuple[bytes, bytes]] = []
    reader = RowReader(person, lambda raw, row: handed.append((raw, encode(row))))
    old = encode({"_id": 1, "schema_version": 1, "full_name": "Ada", "age": 36})
    invalid = encode({"_id": 2, "schema_version": 1, "full_name": 5})
    list(reader.rows(old + encode(_latest()) + invalid, lambda _: None))
    assert handed == [(old, encode({"_id": 1, "schema_version": 2, "age": 36, "name": "Ada"}))]


def test_every_bson_type_reaches_the_model_as_the_codec_decodes_it() -> None:
    class Holder(Document):
        values: list[Any]

    values = [
        Int64(5),
        Decimal128("1.10"),
        ObjectId(b"a" * 12),
        datetime.datetime(2024, 2, 29, 12, 0, 0, 1000),  # noqa: DTZ001 - dates are naive UTC
        DatetimeMS(2**60),
        Binary(b"x", 6),
        b"plain",
        Regex("a", "i"),
        Timestamp(1, 2),
        float("inf"),
        None,
    ]
    raw = encode({"_id": 1, "values": values, "schema_version": 2})
    found = RowReader(_kind(Holder)).read(raw)
    assert encode({"v": found.values}) == encode({"v": values})
    assert [type(value) for value in found.values] == [type(value) for value in values]


class Name(BaseModel):
    name: str


def test_a_projection_sees_the_fields_that_it_names_at_the_latest_shape() -> None:
    reader = ProjectionReader(person, Name)
    batch = encode({"_id": 1, "full_name": "Ada", "age": 3}) + encode(_latest(_id=2))
    assert reader.fields is None
    assert list(reader.rows(batch)) == [Name(name="Ada"), Name(name="Ada")]


def test_a_projection_on_fields_that_no_step_changes_fetches_only_them() -> None:
    class Age(Document):
        age: int

    reader = ProjectionReader(person, Age)
    assert reader.fields == {"age": 1, "id": 1, "_id": 1, "schema_version": 1}
    assert list(reader.parts(encode({"_id": 1, "age": 3}))) == [Age(id=1, age=3)]
    with pytest.raises(NewerVersionError):
        list(reader.parts(encode({"_id": 1, "age": 3, "schema_version": 9})))


def test_a_projection_that_keeps_extras_gets_every_field_but_the_tag() -> None:
    class Loose(BaseModel):
        model_config = ConfigDict(extra="allow")

    reader = ProjectionReader(person, Loose)
    (found,) = reader.rows(encode({"_id": 1, "full_name": "Ada"}))
    assert found.model_dump() == {"_id": 1, "name": "Ada"}


def test_bytes_that_are_no_bson_fail_their_row_of_a_projection_too() -> None:
    batch = encode(_latest(_id=1)) + _no_utf8(_latest(_id=2, name="BAD")) + encode(_latest(_id=3, name=4))
    errors: list[DocumentError] = []
    assert list(ProjectionReader(person, Name).rows(batch, errors.append)) == [Name(name="Ada")]
    assert [getattr(error, "id", None) for error in errors] == [2, 3]


def test_a_batch_is_decoded_row_by_row_only_where_it_has_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[int] = []
    decode_all = bson.decode_all

    def counted(data: bytes, options: Any) -> Any:
        parts.append(len(data))
        return decode_all(data, options)

    monkeypatch.setattr(bson, "decode_all", counted)
    batch = b"".join(encode(_latest(_id=number)) for number in range(300))
    assert len(list(RowReader(person).rows(batch))) == 300
    assert len(parts) == 3
