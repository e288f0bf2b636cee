"""
The base model: `id` is `_id`, and a document remembers the row that it was read from.
"""

import copy
import json
import pickle
from typing import Any

import pytest
from bson import ObjectId
from pydantic import Field

from docstore.core.document import Document, get_origin_row, set_origin_row


class Thing(Document):
    name: str = ""


class Numbered(Document):
    id: int
    parts: list[str] = Field(default_factory=list)


def test_id_is_read_from_and_written_to_the_stored_name() -> None:
    thing = Numbered.model_validate({"_id": 7})
    assert thing.id == 7
    assert thing.model_dump(by_alias=True) == {"_id": 7, "parts": []}
    assert thing.model_dump() == {"id": 7, "parts": []}


def test_id_is_new_for_every_document_without_one() -> None:
    first, second = Thing(), Thing()
    assert isinstance(first.id, ObjectId)
    assert first.id != second.id


@pytest.mark.parametrize(("document", "expected"), [(Thing(id=ObjectId("a" * 24)), "a" * 24), (Numbered(id=7), 7)])
def test_id_has_a_form_in_json(document: Document, expected: Any) -> None:
    assert json.loads(document.model_dump_json())["id"] == expected
    assert document.model_dump(mode="json")["id"] == expected


def copied_by_pickle(document: Numbered) -> Numbered:
    copied: Numbered = pickle.loads(pickle.dumps(document))  # noqa: S301 - its own bytes
    return copied


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, Numbered.model_copy, copied_by_pickle])
def test_copies_remember_the_row_that_the_original_was_read_from(copied: Any) -> None:
    thing = Numbered(id=1)
    set_origin_row(thing, b"row")
    assert get_origin_row(copied(thing)) == b"row"
    assert copied(thing) == thing


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, Numbered.model_copy, copied_by_pickle])
def test_copies_of_a_document_that_was_never_read_remember_nothing(copied: Any) -> None:
    assert get_origin_row(copied(Numbered(id=1))) is None


def test_the_remembered_row_shows_nowhere() -> None:
    thing = Numbered(id=1)
    set_origin_row(thing, b"row")
    assert thing == Numbered(id=1)
    assert "row" not in repr(thing) + thing.model_dump_json()
    assert set(Numbered.model_fields) == {"id", "parts"}
