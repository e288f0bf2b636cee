"""Reading a row's tag: which version is it, or why can nobody know."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from docstore.core.bson_values import RawDocument, copied, type_name
from docstore.errors import UnknownVersionError

#: Tells the version of an untagged row from its shape.
Detect: TypeAlias = Callable[[RawDocument], int]

#: BSON types whose values may be versions. Others (also Decimal128) match a number in a query and are no version.
TAG_TYPES: Final = ("int", "long", "double")


def tag_version(tag: Any) -> int | None:
    """
    Return the version that a tag's value states, or None where it states none.

    A positive int32 or int64 is a version; a double is one if it is integral (the shell writes numbers so). A
    boolean, a string, an array or a Decimal128 is not.
    """
    if type(tag) is int:
        return tag if tag > 0 else None
    if type(tag) is float:
        return int(tag) if tag > 0 and tag.is_integer() else None
    if isinstance(tag, int) and not isinstance(tag, bool):
        return int(tag) if tag > 0 else None
    return None


def read_version(document: Mapping[str, Any], *, kind: str, field: str, baseline: int, detect: Detect | None) -> int:
    """
    Return the version at which a row stands.

    A row without the tag, or with a null tag, stands at *baseline*, or where *detect* says.

    Raises:
        UnknownVersionError: The tag is no positive integer, or *detect* gave none; carries the type that was found.
    """
    tag = document.get(field)
    if tag is not None:
        version = tag_version(tag)
        if version is None:
            raise UnknownVersionError(kind=kind, id=document.get("_id"), found_type=type_name(tag), field=field)
        return version
    if detect is None:
        return baseline
    try:
        # A copy: what detect() does to it must not reach the row.
        detected = detect(copied(document))
    except Exception as error:
        # It is this row that cannot be read; the others can.
        raise UnknownVersionError(
            kind=kind,
            id=document.get("_id"),
            found_type=f"detect() raised {type(error).__name__}",
            field=field,
            by_detect=True,
        ) from error
    version = tag_version(detected)
    if version is None or isinstance(detected, float):
        raise UnknownVersionError(
            kind=kind,
            id=document.get("_id"),
            found_type=f"detect() gave {type_name(detected)}",
            field=field,
            by_detect=True,
        )
    return version
