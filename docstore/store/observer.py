"""
Who counts what a collection does.
"""

from typing import Protocol

from docstore.errors import DocstoreError, DocumentError


class Observer(Protocol):
    """
    Is told what becomes of the rows of one kind. Nothing it is given is a value of a row.

    Called where rows are read and written, so it neither waits nor fails.
    """

    def read(self, version: int) -> None:
        """
        A row was read that is stored at this version.
        """

    def unreadable(self, error: DocumentError) -> None:
        """
        A row could not be read; the same error may be told more than once, and counts once.
        """

    def wrote(self, operation: str, version: int | None, rows: int) -> None:
        """
        Rows were stored at this version, or at one that nobody knows (None).
        """

    def deleted(self, rows: int) -> None:
        """
        Rows were deleted.
        """

    def conflicts(self, rows: int) -> None:
        """
        Rows were to be written that somebody changed since they were read; most of them are tried again.
        """

    def refused(self, error: DocstoreError) -> None:
        """
        A call ended with an error; the same one may be told more than once, and counts once.
        """
