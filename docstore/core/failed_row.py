"""
A row that cannot be rewritten, and what tells later whether somebody has changed it since.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Self

from docstore.errors import DocstoreError

#: How much of the hash is kept, in bytes: enough to notice a change, and next to nothing to guess values from.
_KEPT: Final = 8


@dataclass(frozen=True, slots=True)
class FailedRow:
    """
    A row by its id, what was raised for it, and the digest of the bytes that failed; None where nobody has them.
    """

    id: Any
    error: DocstoreError
    digest: bytes | None = None

    @classmethod
    def of(cls, error: DocstoreError, raw: bytes) -> Self:
        """
        Return a row that failed as it is stored.
        """
        return cls(getattr(error, "id", None), error, digest_of(raw))


def digest_of(raw: bytes) -> bytes:
    """
    Return a few bytes that are others for a row that was changed.
    """
    return hashlib.blake2b(raw, digest_size=_KEPT).digest()
