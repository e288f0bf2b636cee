"""
The same rows through Python and through a server.
"""

import uuid
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from bson.raw_bson import RawBSONDocument

from docstore.core.bson_values import CODEC, RawDocument, comparison_key, decode, encode
from docstore.core.kind import Kind
from docstore.errors import DocumentError
from docstore.mongo.driver import AnyDatabase, open_collection
from docstore.mongo.failures import translated
from docstore.testing.comparison import Comparison, Difference, first_difference


async def compare_paths(
    database: AnyDatabase,
    kind: Kind[Any],
    documents: Iterable[Mapping[str, Any]],
    *,
    source: int | None = None,
    to: int | None = None,
) -> Comparison:
    """
    Bring rows to another version both in Python and on a server, and compare the results byte for byte.

    The rows go into a collection of their own, which is dropped at the end. There they are changed as the backfill
    changes them: one update for each version, with the pipeline and the condition into which the steps were compiled.
    Rows that the condition declines must come out as they were; all others must be what Python made of them, types and
    order of fields included.

    Args:
        database: A Motor or PyMongo Async database on a real server.
        kind: Whose steps to run. Between the versions there must be no function steps.
        documents: Rows as they are stored; one without `_id` gets its position as `_id`.
        source: Tag the rows with this version first. By default they are taken as they are, untagged ones too.
        to: The version to bring them to, up or down; latest by default.

    Raises:
        NotCompilableError: A step on the way cannot run on the server.
        NotInvertibleError: The way leads down and a step has no way back.
        DocumentError: A row's version cannot be read, or is none of the kind's.
        StoreError: The server is not reachable, or refused a call (an expression of a `Compute` may raise errors).
    """
    target = kind.latest if to is None else to
    rows = [_prepared(document, place, kind, source) for place, document in enumerate(documents)]
    before: list[bytes] = []
    after: list[bytes] = []
    for batch in _with_different_ids(rows):
        stored, changed = await _on_server(database, kind, batch, target)
        before += stored
        after += changed
    return _compared(kind, target, before, after)


async def _on_server(
    database: AnyDatabase, kind: Kind[Any], rows: list[RawDocument], target: int
) -> tuple[list[bytes], list[bytes]]:
    """
    Return the rows as they are stored, and as they are after the updates.
    """
    collection = open_collection(database, f"compare_{uuid.uuid4().hex}")
    stored = collection.with_options(codec_options=CODEC.with_options(document_class=RawBSONDocument))
    with translated():
        try:
            await collection.insert_many(rows)
            # Read back, because a server fills in empty timestamps, and to begin from what is stored.
            before = [bytes(row.raw) async for row in stored.find({}, sort=[("$natural", 1)])]
            for version in dict.fromkeys(_stored_version(decode(raw), kind) for raw in before):
                compiled = kind.compile(version, to=target)
                rows_of_version = {kind.version_field: version, "$expr": compiled.condition}
                await collection.update_many(rows_of_version, compiled.pipeline, collation={"locale": "simple"})
            after = [bytes(row.raw) async for row in stored.find({}, sort=[("$natural", 1)])]
        finally:
            await collection.drop()
    return before, after


def _with_different_ids(rows: Iterable[RawDocument]) -> list[list[RawDocument]]:
    """
    Return the rows in as few lists as possible with no id twice in any: samples of all versions share their ids.
    """
    batches: list[list[RawDocument]] = []
    seen: Counter[Hashable] = Counter()
    for row in rows:
        key = comparison_key(row["_id"])
        if seen[key] == len(batches):
            batches.append([])
        batches[seen[key]].append(row)
        seen[key] += 1
    return batches


def _prepared(document: Mapping[str, Any], place: int, kind: Kind[Any], source: int | None) -> RawDocument:
    row = {"_id": place, **document}
    if source is not None:
        row[kind.version_field] = source
    return row


def _stored_version(row: Mapping[str, Any], kind: Kind[Any]) -> int | None:
    return None if row.get(kind.version_field) is None else kind.version(row)


def _compared(kind: Kind[Any], target: int, before: list[bytes], after: list[bytes]) -> Comparison:
    by_server, refused, differences = 0, 0, []
    for old, new in zip(before, after, strict=True):
        row = decode(old)
        python = _in_python(kind, row, target)
        taken = old != new
        by_server += taken
        refused += python is None
        if not taken or (python is not None and encode(python) == new):
            continue
        server = decode(new)
        reason = "Python refuses the row" if python is None else first_difference(python, server)
        version = _stored_version(row, kind)
        differences.append(Difference(row["_id"], version, reason or "bytes", row, python, server))
    return Comparison(len(before), by_server, refused, tuple(differences))


def _in_python(kind: Kind[Any], row: RawDocument, target: int) -> RawDocument | None:
    try:
        down = kind.version(row) > target
        return kind.downgrade(row, to=target) if down else kind.upgrade(row, to=target)
    except DocumentError:
        return None
