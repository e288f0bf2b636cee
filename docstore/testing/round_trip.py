"""
Up the chain, and down again.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from bson.dbref import DBRef

from docstore.core.bson_values import RawDocument, decode, encode
from docstore.core.kind import Kind
from docstore.testing.comparison import first_difference


def check_round_trip(kind: Kind[Any], documents: Iterable[Mapping[str, Any]], *, to: int | None = None) -> int:
    """
    Check that rows which were brought up come back down as they were, and up again as they had been.

    Values and their types are compared, not the order of fields: a field that was moved comes back at the end.

    Args:
        kind: Whose steps to run.
        documents: Rows as they are stored, at any versions.
        to: The version to go to and come back from; latest by default.

    Returns:
        How many rows were checked.

    Raises:
        AssertionError: A row came back different; names its id, its version, and the path.
        NotInvertibleError: A step on the way has no way back.
        DocumentError: A row cannot be read, or a step refused it.
    """
    checked = 0
    for document in documents:
        row = decode(encode(document))
        version = kind.version(row)
        up = kind.upgrade(row, to=to)
        back = kind.downgrade(up, to=version)
        _require_same(kind, row, back, f"version {version} changed on the way up and down")
        _require_same(kind, up, kind.upgrade(back, to=to), f"version {version} came up differently the second time")
        checked += 1
    return checked


def ordered(value: Any) -> Any:
    """
    Return a value with the fields of every document in alphabetical order.
    """
    if isinstance(value, DBRef):
        value = value.as_doc()
    if isinstance(value, Mapping):
        return {name: ordered(value[name]) for name in sorted(value)}
    return [ordered(item) for item in value] if isinstance(value, list | tuple) else value


def _require_same(kind: Kind[Any], first: RawDocument, second: RawDocument, what: str) -> None:
    plain = [ordered({name: row[name] for name in row if name != kind.version_field}) for row in (first, second)]
    difference = first_difference(*plain)
    if difference is not None:
        raise AssertionError(f"{kind.name} {first.get('_id')!r} of {what}: {difference}")
