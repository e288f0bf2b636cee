"""
BSON values as text and back: MongoDB's Extended JSON, with short forms for what people type.
"""

import re
from typing import Any, Final

from bson import json_util
from bson.binary import UuidRepresentation
from bson.errors import BSONError
from bson.objectid import ObjectId
from bson.regex import Regex

_OPTIONS: Final = json_util.JSONOptions(
    json_mode=json_util.JSONMode.RELAXED,
    datetime_representation=json_util.DatetimeRepresentation.ISO8601,
    uuid_representation=UuidRepresentation.STANDARD,
    tz_aware=False,
)
_OBJECT_ID: Final = re.compile(r"[0-9a-fA-F]{24}")


def to_text(value: Any, *, indent: int | None = None) -> str:
    """
    Return a value as Extended JSON (relaxed).
    """
    return json_util.dumps(value, json_options=_OPTIONS, indent=indent, ensure_ascii=False)


def id_from_text(text: str) -> Any:
    """
    Return the id that somebody typed.

    24 hex digits are an ObjectId. What is Extended JSON is that value: `5`, `"5"`, `{"$uuid": "..."}`,
    `{"a": 1}`. Everything else is the text itself.
    """
    if _OBJECT_ID.fullmatch(text):
        return ObjectId(text)
    try:
        value = json_util.loads(text, json_options=_OPTIONS)
    except (ValueError, TypeError, BSONError):
        return text
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return text
    return value


def id_from_line(line: str) -> Any:
    """
    Return the id that a line of a file holds, as strict Extended JSON: no short forms.

    Raises:
        ValueError: It is no Extended JSON, or no value that an id can have; the text does not repeat it.
    """
    try:
        value = json_util.loads(line, json_options=_OPTIONS)
    except (ValueError, TypeError, BSONError):
        raise ValueError("it is not Extended JSON") from None
    fault = None
    if isinstance(value, list | re.Pattern | Regex):
        fault = "an array or a regular expression cannot be an _id"
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        fault = "it is a number of more than 64 bits"
    if fault is not None:
        raise ValueError(fault)
    return value


def document_from_text(text: str) -> dict[str, Any]:
    """
    Return the document that somebody typed as Extended JSON.

    Raises:
        ValueError: It is none; says where it ends to be one.
    """
    value = _typed(text)
    if not isinstance(value, dict):
        msg = f"it is {type(value).__name__} and no document"
        raise ValueError(msg)  # noqa: TRY004 - whoever typed it is told, as of any other text that is no document
    return value


def documents_from_text(text: str) -> list[dict[str, Any]]:
    """
    Return the list of documents that somebody typed as Extended JSON.

    Raises:
        ValueError: It is none; says where it ends to be one.
    """
    value = _typed(text)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        msg = "it is no list of documents"
        raise ValueError(msg)
    return value


def _typed(text: str) -> Any:
    try:
        return json_util.loads(text, json_options=_OPTIONS)
    except (TypeError, BSONError) as error:
        raise ValueError(str(error)) from error
