import copy
import pickle
import re

import pytest

from docstore import Document, version_token
from docstore.core.bson_values import encode
from docstore.core.document import set_origin_row
from docstore.errors import UnguardedReplaceError
from docstore.store.tokens import fits, row_token


class Thing(Document):
    name: str


def test_a_token_can_stand_in_a_header_and_a_url() -> None:
    assert re.fullmatch(r"[A-Za-z0-9._~-]{20,64}", row_token(b"row"))


def test_a_token_fits_its_row_only() -> None:
    assert fits(row_token(b"row"), b"row")
    assert not fits(row_token(b"row"), b"row2")
    for malformed in ("", "1.", "ø", '"' + row_token(b"row") + '"'):
        assert not fits(malformed, b"row")


@pytest.mark.parametrize("token", ["", "1.", "\udcff", "é", '"1.x"'])
def test_a_malformed_token_fits_no_row(token: str) -> None:
    assert not fits(token, encode({"_id": 1}))


def test_a_document_that_was_never_read_has_no_token() -> None:
    with pytest.raises(UnguardedReplaceError):
        version_token(Thing(name="x"))


def test_copies_have_the_token_of_the_original() -> None:
    thing = Thing(name="x")
    set_origin_row(thing, b"row")
    copies = (thing.model_copy(update={"name": "y"}), copy.copy(thing), copy.deepcopy(thing))
    assert {version_token(each) for each in copies} == {row_token(b"row")}


def test_a_pickled_document_keeps_its_token() -> None:
    thing = Thing(name="x")
    set_origin_row(thing, b"row")
    back = pickle.loads(pickle.dumps(thing))  # noqa: S301 - made here
    assert (back, version_token(back)) == (thing, row_token(b"row"))
