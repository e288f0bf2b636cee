"""Telling a rewrite from a change: the row moved to another version, and means what it meant."""

from typing import Any

from docstore.core.bson_values import identical
from docstore.core.kind import Kind
from docstore.core.row_faults import decoded, side_by_side
from docstore.errors import DocumentError


def is_rewrite(kind: Kind[Any], before: bytes, after: bytes) -> bool:
    """
    Tell whether a row was only brought to another version: its tag is another one, its latest shape is the same.
    """
    try:
        field = kind.version_field
        if identical(decoded(before, kind).get(field), decoded(after, kind).get(field)):
            return False
    except DocumentError:
        return False
    return means_the_same(kind, before, after)


def means_the_same(kind: Kind[Any], before: bytes, after: bytes) -> bool:
    """
    Tell whether two rows are the same at latest, whatever their versions.

    For a row above latest it is the shape of its own version that counts. Both are compared as BSON, field by field;
    the order of the fields at the top level says nothing. A row that cannot be read, before or after, was not only
    rewritten: nobody knows what it means.
    """
    try:
        one, other = side_by_side(before, after, kind)
    except DocumentError:
        return False
    return one.keys() == other.keys() and all(identical(value, other[name]) for name, value in one.items())
