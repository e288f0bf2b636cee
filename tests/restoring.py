"""
Backups as mongodump and mongorestore make them: new collections of the same names, options, indexes and documents.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final

from pymongo import ReplaceOne
from pymongo.errors import OperationFailure

from docstore.core.bson_values import CODEC

Stored = dict[str, Any]

#: NamespaceExists.
_EXISTS: Final = 48


@dataclass
class Backup:
    """
    What was in the collections of a database.
    """

    options: dict[str, Stored] = field(default_factory=dict)
    indexes: dict[str, list[Stored]] = field(default_factory=dict)
    documents: dict[str, list[Stored]] = field(default_factory=dict)


async def backup(database: Any) -> Backup:
    """
    Copy every collection of a database.
    """
    made = Backup()
    listed = await database.command({"listCollections": 1}, codec_options=CODEC)
    for entry in listed["cursor"]["firstBatch"]:
        name = entry["name"]
        if name.startswith("system."):
            continue
        rows = database.get_collection(name, codec_options=CODEC)
        found = await database.command({"listIndexes": name}, codec_options=CODEC)
        made.options[name] = entry["options"]
        made.indexes[name] = [index for index in found["cursor"]["firstBatch"] if index["name"] != "_id_"]
        made.documents[name] = await rows.find({}).to_list(None)
    return made


async def restore(database: Any, made: Backup, *, only: Collection[str] | None = None) -> None:
    """
    Put collections in the place of those that have their names; others stay as they are.

    Args:
        database: Where to.
        made: The backup.
        only: These collections; all of the backup by default.
    """
    # The control records before the runs: nobody can tell of a run that came first what it came with.
    for name, documents in sorted(made.documents.items()):
        if only is not None and name not in only:
            continue
        await _create_anew(database, name, made.options[name])
        if made.indexes[name]:
            await database.command({"createIndexes": name, "indexes": made.indexes[name]}, codec_options=CODEC)
        if documents:
            rows = database.get_collection(name, codec_options=CODEC)
            # What somebody who was not stopped has stored in between gives way.
            each = [ReplaceOne({"_id": document["_id"]}, document, upsert=True) for document in documents]
            await rows.bulk_write(each, bypass_document_validation=True)


async def _create_anew(database: Any, name: str, options: Stored) -> None:
    while True:
        await database.drop_collection(name)
        try:
            await database.command({"create": name, **options}, codec_options=CODEC)
        except OperationFailure as error:
            # Somebody who was not stopped has stored something in between.
            if error.code != _EXISTS:
                raise
        else:
            return
