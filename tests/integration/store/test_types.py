"""
The two tables of `docs/types.md`, line by line, on a real server.
"""

import datetime
import ipaddress
import re
import uuid
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from bson import Binary, Code, DatetimeMS, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.raw_bson import RawBSONDocument
from pydantic import AnyUrl, AwareDatetime, BaseModel, Json, create_model
from pymongo.asynchronous.database import AsyncDatabase

import docstore
from docstore import Document, Kind, Store
from docstore.core.bson_values import decode, encode, identical, type_name
from docstore.errors import InvalidDocumentError
from docstore.mongo.reading import RowSource

TABLES = Path(__file__).parents[3] / "docs" / "types.md"

STORED: dict[str, Any] = {
    "double": 1.5,
    "double, integral": 3.0,
    "string": "text",
    "object": {"a": 1},
    "array": ["a", "b"],
    "binData": b"bytes",
    "binData, subtype 5": Binary(b"bytes", 5),
    "binData, standard UUID": uuid.UUID(int=5),
    "binData, old UUID": Binary(b"0123456789abcdef", 3),
    "objectId": ObjectId("0123456789ab0123456789ab"),
    "bool": True,
    "date": datetime.datetime(2020, 1, 2, 3, 4, 5, 678000),  # noqa: DTZ001 - stored dates are naive UTC
    "date, at midnight": datetime.datetime(2020, 1, 2),  # noqa: DTZ001
    "date, in the year 33658": DatetimeMS(10**15),
    "null": None,
    "regex": Regex("^a", "i"),
    "javascript": Code("return 1"),
    "int": 7,
    "timestamp": Timestamp(5, 6),
    "long": Int64(7),
    "long, above 2^31": 2**40,
    "decimal": Decimal128("1.50"),
    "minKey": MinKey(),
    "maxKey": MaxKey(),
    "object, a reference": DBRef("things", 5),
}


class Color(Enum):
    RED = "red"


class Point(BaseModel):
    x: float


PYTHON: dict[str, Any] = {
    "Color": Color.RED,
    "date": datetime.date(2020, 1, 2),
    "time": datetime.time(1, 2, 3, 4, tzinfo=datetime.UTC),
    "timedelta": datetime.timedelta(days=-3, microseconds=7),
    "UUID": uuid.UUID(int=5),
    "BsonDecimal": Decimal("1.50"),
    "set[str]": {"b", "a"},
    "frozenset[int]": frozenset({2, 1}),
    "deque[int]": deque([1, 2]),
    "tuple[int, str]": (1, "a"),
    "IPv4Address": ipaddress.IPv4Address("127.0.0.1"),
    "IPv6Network": ipaddress.IPv6Network("2001:db8::/32"),
    "Path": Path("/a/b"),
    "AnyUrl": AnyUrl("https://example.org/a?b=1"),
    "Json[list[int]]": [1, 2],
    "dict[int, str]": {1: "a"},
    "Point": Point(x=1.5),
}

NAMES: dict[str, Any] = {
    **{name: getattr(docstore, name) for name in docstore.__all__},
    "Any": Any,
    "UUID": uuid.UUID,
    "ObjectId": ObjectId,
    "datetime": datetime.datetime,
    "date": datetime.date,
    "time": datetime.time,
    "timedelta": datetime.timedelta,
    "AwareDatetime": AwareDatetime,
    "Pattern": re.Pattern,
    "Decimal": Decimal,
    "Color": Color,
    "Point": Point,
    "deque": deque,
    "IPv4Address": ipaddress.IPv4Address,
    "IPv6Network": ipaddress.IPv6Network,
    "Path": Path,
    "AnyUrl": AnyUrl,
    "Json": Json,
}


def table(heading: str) -> list[tuple[str, ...]]:
    text = TABLES.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


def annotation(cell: str) -> tuple[str, Any]:
    source = cell.split("`")[1]
    return source, eval(source, dict(NAMES))  # noqa: S307 - the project's own table


@pytest.fixture
def holding(database: AsyncDatabase[dict[str, Any]]) -> Callable[[Any], Any]:
    """
    Opens a collection whose documents hold one value of the given type.
    """

    def open_collection(of: Any) -> Any:
        model: type[Document] = create_model("Holder", __base__=Document, value=(of, ...), other=(int, 0))
        kind = Kind("holder", collection="holders", model=model)
        return Store(database, kinds=[kind], service="tests", fleet=False).collection(kind)

    return open_collection


async def row(database: Any) -> dict[str, Any]:
    raw = await RowSource(database, "holders").one(1)
    assert raw is not None
    return decode(raw)


@pytest.mark.parametrize("line", table("From BSON to the model and back"), ids="-".join)
async def test_a_stored_value_becomes_in_the_model_what_the_table_says(
    database: AsyncDatabase[dict[str, Any]], holding: Callable[[Any], Any], line: tuple[str, ...]
) -> None:
    stored, cell, in_the_model, written_as = line
    _, of = annotation(cell)
    value = STORED[stored]
    await database.holders.insert_one(RawBSONDocument(encode({"_id": 1, "schema_version": 1, "value": value})))
    holders = holding(of)
    if in_the_model == "refused":
        with pytest.raises(InvalidDocumentError):
            await holders.get(1)
        return

    document = await holders.get(1)
    assert type(document.value).__name__ == in_the_model.strip("`")

    document.other = 5
    await holders.replace(document)
    untouched = (await row(database))["value"]
    assert identical(untouched, value)

    await holders.replace(type(document)(id=1, value=document.value), unguarded=True)
    assert type_name((await row(database))["value"]) == written_as
    assert (await holders.get(1)).value == document.value


@pytest.mark.parametrize("line", table("From Python to BSON"), ids="-".join)
async def test_a_value_that_bson_has_no_type_for_is_stored_as_the_table_says(
    database: AsyncDatabase[dict[str, Any]], holding: Callable[[Any], Any], line: tuple[str, ...]
) -> None:
    source, of = annotation(line[0])
    value = PYTHON[source]
    holders = holding(of)
    model = holders.kind.model
    document = model(id=1, value="[1, 2]") if source.startswith("Json") else model(id=1, value=value)
    await holders.insert(document)
    assert type_name((await row(database))["value"]) == ("string" if "type of" in line[1] else line[1])
    back = (await holders.get(1)).value
    assert (type(back), back) == (type(value), value)


def test_the_tables_have_every_sample_and_every_annotated_type() -> None:
    lines = table("From BSON to the model and back")
    assert {line[0] for line in lines} == set(STORED)
    annotated = {name for name in docstore.__all__ if name.startswith(("Bson", "Utc"))}
    assert annotated <= {annotation(line[1])[0] for line in lines}
    assert {annotation(line[0])[0] for line in table("From Python to BSON")} == set(PYTHON)
