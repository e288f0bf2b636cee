"""From Python values to what BSON holds."""

import datetime
import ipaddress
import re
import uuid
from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final

from bson.binary import Binary, UuidRepresentation
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.errors import BSONError
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from bson.regex import Regex
from bson.timestamp import Timestamp
from pydantic import AnyUrl, BaseModel
from pydantic_core import Url, to_jsonable_python

from docstore.core.bson_values import RawDocument, encode
from docstore.errors import UnstorableValueError

#: What BSON holds as it is.
_NATIVE: Final = (
    str,
    int,
    float,
    type(None),
    datetime.datetime,
    bytes,
    ObjectId,
    Decimal128,
    DatetimeMS,
    Regex,
    re.Pattern,
    Timestamp,
    Code,
    DBRef,
    MinKey,
    MaxKey,
    RawBSONDocument,
)
_NATIVE_TYPES: Final = frozenset((*_NATIVE, bool, Int64, Binary))
#: What is stored as text that pydantic reads back into the same value.
_TEXT: Final = (ipaddress._IPAddressBase, PurePath, AnyUrl, Url)  # noqa: SLF001 - the six classes' one base


def dumped(document: BaseModel, *, kind: str) -> RawDocument:
    """
    Return the fields of a model under their stored names, as values that BSON holds.

    Computed fields are left out: they follow from the others.

    Raises:
        UnstorableValueError: A value has no place in BSON; carries its path and type.
    """
    # No warnings: whether a value fits its field is told by reading it back.
    values = document.model_dump(by_alias=True, round_trip=True, warnings=False)
    return {name: storable(value, kind=kind, path=name) for name, value in values.items()}


def storable(value: Any, *, kind: str, path: str) -> Any:
    """
    Return a value as BSON can hold it; containers are new ones.

    Enumerations become their values, `Decimal` becomes Decimal128, UUIDs standard binaries, dates midnights in UTC,
    times, durations, paths and addresses text; sets become arrays in the order of their elements' BSON.

    Raises:
        UnstorableValueError: It cannot; carries the path and the type of what was found there.
    """
    if type(value) in _NATIVE_TYPES:
        return value
    if isinstance(value, Enum):
        return storable(value.value, kind=kind, path=path)
    if isinstance(value, RawBSONDocument):
        return value
    if isinstance(value, Mapping):
        return {
            _name(name, kind=kind, path=path): storable(item, kind=kind, path=f"{path}.{name}")
            for name, item in value.items()
        }
    if isinstance(value, list | tuple | deque):
        return [storable(item, kind=kind, path=f"{path}.{place}") for place, item in enumerate(value)]
    if isinstance(value, set | frozenset):
        return _ordered([storable(item, kind=kind, path=path) for item in value], kind=kind, path=path)
    return _converted(value, kind=kind, path=path)


def sendable(value: Any, *, kind: str, path: str) -> Any:
    """
    Return a part of a question (an id, a filter's condition, an operator's argument) as BSON can hold it.

    Raises:
        UnstorableValueError: It cannot; carries the path and the type of what was found there.
    """
    result = storable(value, kind=kind, path=path)
    if type(result) is not ObjectId:
        encoded({path: result}, kind=kind)
    return result


def encoded(row: Mapping[str, Any], *, kind: str) -> bytes:
    """
    Encode a row as it is stored.

    Raises:
        UnstorableValueError: A value does not fit into BSON (an integer of more than 64 bits, text with lone
            surrogates, ...); carries its path and type.
    """
    try:
        return encode(row)
    except (BSONError, ValueError, OverflowError):
        path, value = _culprit(row)
        # The cause would show the value in every traceback.
        raise UnstorableValueError(kind=kind, path=path, found=type(value).__name__) from None


def _converted(value: Any, *, kind: str, path: str) -> Any:
    if isinstance(value, Decimal):
        try:
            return Decimal128(value)
        except ArithmeticError as error:
            found = "a Decimal of more than 34 digits"
            raise UnstorableValueError(kind=kind, path=path, found=found) from error
    if isinstance(value, uuid.UUID):
        return Binary.from_uuid(value, UuidRepresentation.STANDARD)
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return datetime.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - naive is UTC here
    if isinstance(value, datetime.time | datetime.timedelta):
        return to_jsonable_python(value)
    if isinstance(value, _TEXT):
        return str(value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, BaseModel):
        return dumped(value, kind=kind)
    if isinstance(value, _NATIVE):
        return value
    raise UnstorableValueError(kind=kind, path=path, found=type(value).__qualname__)


def _name(name: Any, *, kind: str, path: str) -> str:
    """Return a field name for a dict's key; pydantic reads the text back into the key."""
    if isinstance(name, Enum):
        name = name.value
    if isinstance(name, str):
        return str(name)
    if isinstance(name, int | uuid.UUID | ObjectId | datetime.date) and not isinstance(name, bool):
        return name.isoformat() if isinstance(name, datetime.date) else str(name)
    raise UnstorableValueError(kind=kind, path=path, found=f"a key of type {type(name).__qualname__}")


def _ordered(elements: list[Any], *, kind: str, path: str) -> list[Any]:
    """Bring a set's elements into an order that is the same in every process."""
    return sorted(elements, key=lambda element: encoded({path: element}, kind=kind))


def _culprit(row: Any, path: str = "") -> tuple[str, Any]:
    """Return the first value that does not go into BSON, and where it is."""
    items: list[tuple[str, Any]] = []
    if isinstance(row, dict):
        items = [(str(name), item) for name, item in row.items()]
    elif isinstance(row, list):
        items = [(str(place), item) for place, item in enumerate(row)]
    for name, item in items:
        try:
            encode({name: item})
        except (BSONError, ValueError, OverflowError):
            return _culprit(item, f"{path}.{name}" if path else name)
    return path, row
