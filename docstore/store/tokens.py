"""The guard as text, so that it can leave the process: an entity tag for HTTP."""

import base64
import hashlib
import hmac
from typing import Final

from docstore.core.document import Document, get_origin_row
from docstore.core.older_document import OlderDocument
from docstore.errors import UnguardedReplaceError

#: Changes when a token is made of something else, so that an old one never matches by chance.
_FORMAT: Final = "1"


def version_token(document: Document | OlderDocument) -> str:
    """
    Return the token of the row that a document was read from (or last written to); give it to `replace(if_token=...)`.

    43 characters of base64url behind a format mark; it tells nothing about the row. Any change of the stored row
    changes it, one by the backfill too: a client whose token no longer fits reads again.

    Raises:
        UnguardedReplaceError: The document was never read through a store.
    """
    row = get_origin_row(document)
    if row is None:
        row_id = document.id if isinstance(document, Document) else document.get("_id")
        raise UnguardedReplaceError(kind=type(document).__name__, id=row_id)
    return row_token(row)


def row_token(row: bytes) -> str:
    """Return the token of a stored row."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(row).digest()).rstrip(b"=")
    return f"{_FORMAT}.{digest.decode()}"


def fits(token: str, row: bytes) -> bool:
    """Tell whether a token is that of a stored row; a malformed one is of none."""
    return hmac.compare_digest(token.encode(errors="replace"), row_token(row).encode())
