"""
From the bytes of untagged rows to rewrites that add the tag, and to the errors of rows that nobody can place. Pure.
"""

from docstore.backfill.upgrading import Upgrader
from docstore.core.bson_values import decode
from docstore.core.row_faults import decoded
from docstore.mongo.batch_writing import Rewrite


class Tagger(Upgrader):
    """
    Gives rows without a tag the tag of the version at which they stand: the baseline, or what `detect` says.

    Nothing but the tag is compared and written. Rows that `detect` puts above latest are left alone (P4).
    """

    def _rewrite(self, raw: bytes) -> Rewrite | None:
        kind = self._kind
        row = decoded(raw, kind)
        if row.get(kind.version_field) is not None:
            return None
        version = kind.version(row)
        tagged = decode(raw)
        tagged[kind.version_field] = version
        # The tag is null, or not there.
        before = {name: row[name] for name in (kind.version_field,) if name in row}
        return self._writer.prepare(raw, tagged, [kind.version_field], before)
