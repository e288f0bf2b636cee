"""
From the bytes of newer rows to rewrites at an older version, and to the errors of the rows that cannot go down. Pure.
"""

from docstore.backfill.upgrading import Upgrader
from docstore.core.bson_values import RawDocument
from docstore.core.lowering import lowered, trimmed
from docstore.core.row_faults import decoded
from docstore.mongo.batch_writing import Rewrite


class Downgrader(Upgrader):
    """
    Brings newer rows of a kind down to a version and prepares their guarded rewrites.

    Coming up again gives back all that a row holds: what the older version has no place for is kept in its residue
    (P11). A row that the older version cannot have at all is at fault, by name, and nothing of it is trimmed. Rows
    above latest are left alone (P4). Nothing is written, and one row's fault is only its own.
    """

    def _rewrite(self, raw: bytes) -> Rewrite | None:
        kind, target = self._kind, self._target
        row = decoded(raw, kind)
        version = kind.version(row)
        if version <= target:
            return None
        way = self._ways.get(version) or self._way(version)
        before = self._before(row, way)
        row_id = row.get("_id")
        lower = self._lower(row, version)
        return self._prepared(raw, lower, way, before, version=version, row_id=row_id)

    def _lower(self, row: RawDocument, version: int) -> RawDocument:
        return lowered(self._kind.chain, row, version, self._target)


class Trimmer(Downgrader):
    """
    As `Downgrader`, but what can be kept nowhere is lost. Only for rows whose loss somebody has accepted.
    """

    def _lower(self, row: RawDocument, version: int) -> RawDocument:
        return trimmed(self._kind.chain, row, version, self._target)
