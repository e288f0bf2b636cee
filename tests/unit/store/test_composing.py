"""
What is stored for a document, with models that read and write in their own ways.
"""

from decimal import Decimal
from typing import Any, ClassVar

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from pydantic import BaseModel, ConfigDict, Field, computed_field, field_validator

from docstore import Document, Kind
from docstore.core.bson_values import decode, encode, identical
from docstore.core.residue import RESIDUE
from docstore.errors import InvalidDocumentError, ModelFieldError, UpdateRefusedError
from docstore.store.composing import RowComposer
from docstore.store.rows import RowReader


def kind_of(model: type[Document]) -> Kind[Any]:
    return Kind("thing", collection="things", model=model)


def changed(model: type[Document], row: dict[str, Any], **assignments: Any) -> dict[str, Any]:
    """
    What a row becomes when it is read, fields are assigned, and the document is replaced.
    """
    kind = kind_of(model)
    raw = encode({"_id": 1, "schema_version": 1, **row})
    document = RowReader(kind).read(raw)
    for name, value in assignments.items():
        setattr(document, name, value)
    after = RowComposer(kind).changed(document, raw)
    assert after.pop("_id") == 1
    assert after.pop("schema_version") == 1
    return after


def test_a_row_begins_with_its_id_and_the_tag() -> None:
    class Thing(Document):
        name: str

    raw = RowComposer(kind_of(Thing)).new(Thing(name="x", id=1))
    assert list(decode(raw).items()) == [("_id", 1), ("schema_version", 1), ("name", "x")]


def test_an_int_assigned_to_a_field_of_floats_is_stored_as_a_double() -> None:
    class Thing(Document):
        size: float

    assert identical(changed(Thing, {"size": 1.5}, size=2), {"size": 2.0})
    assert identical(changed(Thing, {"size": 2}, size=2), {"size": 2})


def test_a_document_with_a_field_of_docstores_own_is_refused() -> None:
    class Thing(Document):
        model_config = ConfigDict(extra="allow")

    kind = kind_of(Thing)
    document = Thing.model_validate({"_id": 1, RESIDUE: {"3": 1}})

    with pytest.raises(UpdateRefusedError, match="docstore's own"):
        RowComposer(kind).new(document)
    with pytest.raises(UpdateRefusedError, match="docstore's own"):
        RowComposer(kind).changed(document, encode({"_id": 1, "schema_version": 1}))


class Sorted(Document):
    parts: list[dict[str, int]]

    @field_validator("parts")
    @classmethod
    def sort(cls, parts: list[dict[str, int]]) -> list[dict[str, int]]:
        return sorted(parts, key=lambda part: part["k"])


def test_a_model_that_sorts_a_list_never_mixes_up_its_elements() -> None:
    row = {"parts": [{"k": 2, "u": 20}, {"k": 1, "u": 10}]}
    after = changed(Sorted, row, parts=[{"k": 1, "u": 10}, {"k": 3, "u": 30}])
    assert after == {"parts": [{"k": 1, "u": 10}, {"k": 3, "u": 30}]}
    assert changed(Sorted, row) == row


def test_a_model_that_sorts_parts_with_unknown_fields_never_gives_one_the_field_of_another() -> None:
    class Part(BaseModel):
        k: int

    class Parts(Document):
        parts: list[Part]

        @field_validator("parts")
        @classmethod
        def sort(cls, parts: list[Part]) -> list[Part]:
            return sorted(parts, key=lambda part: part.k)

    after = changed(Parts, {"parts": [{"k": 2, "u": 20}, {"k": 1, "u": 10}]}, parts=[Part(k=1), Part(k=3)])
    assert [part["k"] for part in after["parts"]] == [1, 3]
    assert {"k": 1, "u": 20} not in after["parts"]


def test_a_field_that_never_reads_back_the_same_is_stored_as_the_document_has_it() -> None:
    class Stamped(Document):
        readings: ClassVar[list[int]] = []
        name: str
        stamp: int = 0

        @field_validator("stamp")
        @classmethod
        def renew(cls, stamp: int) -> int:
            cls.readings.append(stamp)
            return stamp + 1000 * len(cls.readings)

    after = changed(Stamped, {"name": "x", "stamp": 1}, name="y", stamp=7)
    assert after == {"name": "y", "stamp": 7}


def test_unknown_fields_survive_at_every_depth() -> None:
    class Part(BaseModel):
        k: int

    class Thing(Document):
        part: Part
        parts: dict[str, Part]

    row = {"part": {"k": 1, "u": Int64(1)}, "parts": {"a": {"k": 1, "u": [1]}, "b": {"k": 2, "u": None}}, "u": {"v": 1}}
    after = changed(Thing, row, parts={"a": Part(k=5), "c": Part(k=6)})
    expected = {"part": {"k": 1, "u": Int64(1)}, "parts": {"a": {"k": 5, "u": [1]}, "c": {"k": 6}}, "u": {"v": 1}}
    assert identical(after, expected)


def test_a_model_that_allows_extras_can_change_and_remove_them() -> None:
    class Open(Document):
        model_config = ConfigDict(extra="allow")
        name: str

    kind = kind_of(Open)
    raw = encode({"_id": 1, "schema_version": 1, "name": "x", "kept": Int64(1), "gone": 2, "other": 3})
    document = RowReader(kind).read(raw)
    assert document.__pydantic_extra__ is not None
    document.__pydantic_extra__["other"] = 4
    del document.__pydantic_extra__["gone"]
    after = RowComposer(kind).changed(document, raw)
    assert identical(after, {"_id": 1, "schema_version": 1, "name": "x", "kept": Int64(1), "other": 4})


def test_a_model_that_forbids_extras_refuses_to_read_them() -> None:
    class Closed(Document):
        model_config = ConfigDict(extra="forbid")
        name: str

    with pytest.raises(InvalidDocumentError) as caught:
        changed(Closed, {"name": "x", "unknown": 1})
    assert caught.value.problems == ("extra_forbidden @ unknown",)
    assert changed(Closed, {"name": "x"}, name="y") == {"name": "y"}


def test_a_default_that_was_not_stored_is_stored_once_it_changes() -> None:
    class Thing(Document):
        name: str
        size: int = 5

    assert changed(Thing, {"name": "x"}, name="y") == {"name": "y"}
    assert changed(Thing, {"name": "x"}, size=6) == {"name": "x", "size": 6}


def test_a_computed_field_is_not_stored() -> None:
    class Thing(Document):
        model_config = ConfigDict(extra="forbid")
        name: str

        @computed_field  # type: ignore[prop-decorator]
        @property
        def shout(self) -> str:
            return self.name.upper()

    assert "shout" not in decode(RowComposer(kind_of(Thing)).new(Thing(id=1, name="x")))
    assert changed(Thing, {"name": "x"}, name="y") == {"name": "y"}


def test_a_field_that_is_never_written_keeps_its_stored_value() -> None:
    class Thing(Document):
        name: str
        secret: str = Field(default="", exclude=True)

    assert changed(Thing, {"name": "x", "secret": "s"}, name="y", secret="t") == {"name": "y", "secret": "s"}  # noqa: S106


def test_a_set_keeps_the_stored_order_until_it_changes() -> None:
    class Thing(Document):
        tags: set[str]

    assert changed(Thing, {"tags": ["b", "a", "b"]}) == {"tags": ["b", "a", "b"]}
    assert changed(Thing, {"tags": ["b", "a"]}, tags={"c", "a"}) == {"tags": ["a", "c"]}


def test_a_value_that_the_model_would_refuse_is_not_stored() -> None:
    class Thing(Document):
        parts: list[int]

    with pytest.raises(InvalidDocumentError) as caught:
        changed(Thing, {"parts": [1]}, parts=[1, "secret"])
    assert caught.value.problems == ("int_parsing @ parts.1",)
    assert "secret" not in str(caught.value)


def test_a_decimal_without_the_annotated_type_is_refused_with_advice() -> None:
    class Thing(Document):
        price: Decimal

    with pytest.raises(InvalidDocumentError) as caught:
        RowComposer(kind_of(Thing)).new(Thing(id=1, price=Decimal("1.5")))
    assert any("BsonDecimal" in note for note in caught.value.__notes__)


def test_a_document_with_another_id_is_refused() -> None:
    class Thing(Document):
        name: str

    with pytest.raises(UpdateRefusedError):
        changed(Thing, {"name": "x"}, id=2)


def test_an_id_of_another_type_than_its_field_is_left_as_it_is_stored() -> None:
    class Thing(Document):
        id: int
        name: str

    raw = encode({"_id": Int64(1), "schema_version": 1, "name": "x"})
    kind = kind_of(Thing)
    document = RowReader(kind).read(raw)
    document.name = "y"
    assert identical(RowComposer(kind).changed(document, raw), {"_id": Int64(1), "schema_version": 1, "name": "y"})


def test_aliases_are_the_stored_names() -> None:
    class Thing(Document):
        latitude: float = Field(alias="lat")

    assert decode(RowComposer(kind_of(Thing)).new(Thing(id=1, lat=1))) == {
        "_id": 1,
        "schema_version": 1,
        "lat": 1.0,
    }
    assert changed(Thing, {"lat": 1.5}, latitude=2.5) == {"lat": 2.5}


def test_a_field_that_would_be_stored_where_it_is_not_read_is_refused_at_once() -> None:
    class Thing(Document):
        latitude: float = Field(validation_alias="lat", serialization_alias="latitude")

    with pytest.raises(ModelFieldError) as caught:
        RowComposer(kind_of(Thing))
    assert (caught.value.field, caught.value.stored_as, caught.value.read_from) == ("latitude", "latitude", ("lat",))


def test_an_id_that_is_not_stored_as_one_is_refused_at_once() -> None:
    class Thing(Document):
        id: int = Field(alias="code")

    with pytest.raises(ModelFieldError):
        RowComposer(kind_of(Thing))


def test_a_document_of_another_model_is_refused() -> None:
    class Thing(Document):
        name: str

    class Other(Document):
        name: str

    composer: RowComposer[Any] = RowComposer(kind_of(Thing))
    with pytest.raises(TypeError):
        composer.new(Other(id=1, name="x"))


def test_a_stored_decimal_that_nobody_touched_keeps_its_digits() -> None:
    class Thing(Document):
        price: float
        name: str

        @field_validator("price", mode="before")
        @classmethod
        def plain(cls, value: Any) -> Any:
            return value.to_decimal() if isinstance(value, Decimal128) else value

    after = changed(Thing, {"price": Decimal128("1.50"), "name": "x"}, name="y")
    assert identical(after, {"price": Decimal128("1.50"), "name": "y"})
