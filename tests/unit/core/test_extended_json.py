import uuid
from typing import Any

import pytest
from bson import Int64, ObjectId

from docstore.core.bson_values import identical
from docstore.core.extended_json import id_from_text, to_text

HEX = "65f0c2d4a1b2c3d4e5f60718"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-7.5", -7.5),
        ('"5"', "5"),
        ("oslo", "oslo"),
        ("oslo north", "oslo north"),
        ("", ""),
        (HEX, ObjectId(HEX)),
        (f'"{HEX}"', HEX),
        (f'{{"$oid": "{HEX}"}}', ObjectId(HEX)),
        ('{"$numberLong": "5"}', Int64(5)),
        ('{"$uuid": "12345678-1234-5678-1234-567812345678"}', uuid.UUID("12345678-1234-5678-1234-567812345678")),
        ('{"a": 1}', {"a": 1}),
        ("null", None),
        ("99999999999999999999", "99999999999999999999"),
        ('{"$oid": "short"}', '{"$oid": "short"}'),
    ],
)
def test_id_from_text_reads_what_people_type(text: str, value: Any) -> None:
    assert identical(id_from_text(text), value)


@pytest.mark.parametrize("value", [5, "5", "oslo", ObjectId(HEX), uuid.UUID(int=1), {"a": [1, "x"]}, None, HEX])
def test_id_from_text_reads_what_to_text_writes(value: Any) -> None:
    assert identical(id_from_text(to_text(value)), value)
