"""A document in an older published shape, for clients that live long."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from docstore.core.document import ORIGIN


class OlderDocument(dict[str, Any]):
    """
    A row in the shape of one version: stored names to BSON values, the tag included, which is that version.

    An ordinary dict, the caller's to change. It remembers the row that it was read from (as immutable bytes), so that
    `replace` can prove that nobody changed it meanwhile; copies by `copy` and pickles remember it too, `dict(...)`
    does not.
    """

    __slots__ = (ORIGIN, "version")

    def __init__(self, fields: Mapping[str, Any] = MappingProxyType({}), *, version: int = 0) -> None:
        super().__init__(fields)
        self.version = version

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restored, (dict(self), self.version, getattr(self, ORIGIN, None)))

    def __copy__(self) -> "OlderDocument":
        return _restored(dict(self), self.version, getattr(self, ORIGIN, None))

    def copy(self) -> "OlderDocument":
        """Return the same fields, remembering the same row."""
        return self.__copy__()


def _restored(fields: dict[str, Any], version: int, origin: bytes | None) -> OlderDocument:
    document = OlderDocument(fields, version=version)
    if origin is not None:
        setattr(document, ORIGIN, origin)
    return document
