"""What every part of a run needs to know."""

import asyncio
from dataclasses import dataclass
from typing import Any

from docstore.backfill.progress import Meter
from docstore.backfill.putting_aside import PuttingAside
from docstore.core.kind import Kind
from docstore.mongo.batch_writing import BatchWriter
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.old_rows import OldRows


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run: whose rows, to which version, and who counts, puts rows aside and says when to stop."""

    database: AnyDatabase
    kind: Kind[Any]
    target: int
    meter: Meter
    aside: PuttingAside
    stop: asyncio.Event
    #: The name of the (tag, `_id`) index.
    index: str
    #: Whether the collection has a collation of its own.
    collated: bool

    def old_rows(self, version: int | None) -> OldRows:
        """Return the rows at a version (None: untagged)."""
        return OldRows(
            self.database,
            self.kind.collection,
            field=self.kind.version_field,
            version=version,
            index=self.index,
            collated=self.collated,
        )

    def writer(self) -> BatchWriter:
        """Return what rewrites rows under the guard."""
        return BatchWriter(
            self.database,
            self.kind.collection,
            field=self.kind.version_field,
            index=self.index,
            collated=self.collated,
        )
