"""
Versioned MongoDB documents, read at the latest shape and rewritten in place.
"""

from typing import TYPE_CHECKING

from docstore.late_imports import late_imports

if TYPE_CHECKING:
    from docstore.core.document import Document
    from docstore.core.kind import Kind
    from docstore.core.older_document import OlderDocument
    from docstore.core.step import Step
    from docstore.mongo.row_writer import UpdateResult
    from docstore.store.bulk import BulkResult, Delete, Insert, Replace, Update
    from docstore.store.changes import Change, Changes
    from docstore.store.collection import Collection
    from docstore.store.cursor import Cursor, SkippedRow
    from docstore.store.explaining import Explanation
    from docstore.store.metrics import StoreMetrics
    from docstore.store.store import Store
    from docstore.store.tokens import version_token
    from docstore.store.types import (
        BsonBinary,
        BsonCode,
        BsonDate,
        BsonDecimal,
        BsonLong,
        BsonMaxKey,
        BsonMinKey,
        BsonObjectId,
        BsonReference,
        BsonRegex,
        BsonTimestamp,
        UtcDatetime,
    )
    from docstore.store.write_back import WriteBackStatistics

__all__ = [
    "BsonBinary",
    "BsonCode",
    "BsonDate",
    "BsonDecimal",
    "BsonLong",
    "BsonMaxKey",
    "BsonMinKey",
    "BsonObjectId",
    "BsonReference",
    "BsonRegex",
    "BsonTimestamp",
    "BulkResult",
    "Change",
    "Changes",
    "Collection",
    "Cursor",
    "Delete",
    "Document",
    "Explanation",
    "Insert",
    "Kind",
    "OlderDocument",
    "Replace",
    "SkippedRow",
    "Step",
    "Store",
    "StoreMetrics",
    "Update",
    "UpdateResult",
    "UtcDatetime",
    "WriteBackStatistics",
    "version_token",
]

# Imported when they are first asked for: a module of steps needs no driver.
_HOME = {
    "BulkResult": "docstore.store.bulk",
    "Change": "docstore.store.changes",
    "Changes": "docstore.store.changes",
    "Collection": "docstore.store.collection",
    "Cursor": "docstore.store.cursor",
    "Delete": "docstore.store.bulk",
    "Document": "docstore.core.document",
    "Explanation": "docstore.store.explaining",
    "Insert": "docstore.store.bulk",
    "Kind": "docstore.core.kind",
    "OlderDocument": "docstore.core.older_document",
    "Replace": "docstore.store.bulk",
    "SkippedRow": "docstore.store.cursor",
    "Step": "docstore.core.step",
    "Store": "docstore.store.store",
    "StoreMetrics": "docstore.store.metrics",
    "Update": "docstore.store.bulk",
    "UpdateResult": "docstore.mongo.row_writer",
    "WriteBackStatistics": "docstore.store.write_back",
    "version_token": "docstore.store.tokens",
} | {name: "docstore.store.types" for name in __all__ if name.startswith(("Bson", "Utc"))}


__getattr__, __dir__ = late_imports(globals(), _HOME)
