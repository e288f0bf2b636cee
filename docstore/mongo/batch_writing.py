"""Many guarded rewrites in one command."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bson.raw_bson import RawBSONDocument

from docstore.core.bson_values import RawDocument, decode, encode
from docstore.core.failed_row import FailedRow, digest_of
from docstore.core.kind import Kind
from docstore.core.residue import RESIDUE
from docstore.errors import StoreRejectedError, StoreUnavailableError
from docstore.mongo.driver import AnyDatabase, Driver, driver_of, open_collection
from docstore.mongo.failures import LATER, rejected, translate, translated, unmet
from docstore.mongo.guard import SIMPLE_COLLATION, guard, row_update
from docstore.mongo.residue_index import ResidueIndex
from docstore.mongo.row_writer import DuplicateRowError
from docstore.mongo.writing import open_row_writer

#: A command is one document of at most 16 MiB; the rest is for its envelope. In bytes.
COMMAND_SIZE: Final = 15 * 1024 * 1024

_DUPLICATE_KEY: Final = 11000

#: What stands in a statement about a row that has a residue.
_KEEPS: Final = RESIDUE.encode() + b"\0"


@dataclass(frozen=True, slots=True)
class Rewrite:
    """
    One row: the bytes that it has to have still, and the statement that rewrites it.

    *after* is the whole row as it is to be, for the rows that have to go by themselves; the others have a statement.
    """

    id: Any
    raw: bytes
    statement: bytes = b""
    after: RawDocument | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch: how many rows were rewritten, and which the server refuses to store, by position."""

    rewritten: int
    refused: Mapping[int, StoreRejectedError]


def refused_rows(batch: Sequence[Rewrite], written: Written) -> list[FailedRow]:
    """
    Return the rows of a batch that the server refuses to store.
    """
    return [FailedRow(batch[place].id, error, digest_of(batch[place].raw)) for place, error in written.refused.items()]


class BatchWriter:
    """
    Prepares and sends guarded rewrites of one collection's rows.

    Each takes effect only if the row is still exactly what it was computed from (P1); one that does not is no error,
    just not counted. Nothing is ever inserted. Driver errors come out as `StoreUnavailableError`, after which nobody
    knows which rewrites took effect (sending the batch again is harmless), and `StoreRejectedError`.

    Args:
        database: Where the rows are.
        kind: Their kind.
        index: The name of the (tag, `_id`) index.
        collated: Whether the collection has a collation of its own, which has to be overruled.
    """

    def __init__(self, database: AnyDatabase, kind: Kind[Any], *, index: str, collated: bool) -> None:
        self._database = database
        self._name = kind.collection
        self._field = kind.version_field
        self._index = index
        self._collated = collated
        self._one_by_one = driver_of(database) is Driver.MOCK
        self._single = open_row_writer(database, kind.collection)
        self._residues = ResidueIndex(database, kind)
        concern = None if self._one_by_one else open_collection(database, kind.collection).write_concern.document
        self._concern = {"writeConcern": concern} if concern else {}

    def prepare(self, raw: bytes, after: RawDocument, fields: Sequence[str] | None, before: RawDocument) -> Rewrite:
        """
        Return what turns the row *raw* into *after*; later changes of *after* have no influence.

        Only what differs is written, so that a concurrent change of a value's type, which the guard cannot see, stays.

        Args:
            raw: The row as it is stored.
            after: The row as it is to be.
            fields: The top-level fields that may differ; None stands for all.
            before: Those fields as they are stored; no value is shared with *after* and changed there.
        """
        row_id = after["_id"]
        if self._one_by_one:
            return Rewrite(row_id, raw, after=_copy(after))
        changed = after if fields is None else {name: after[name] for name in fields if name in after}
        update = row_update(before, changed)
        if isinstance(update, list):
            # A name that no operator can speak of: the row is replaced, so all of it is needed.
            update = [{"$replaceWith": {"$literal": after}}]
        statement: dict[str, Any] = {"q": guard(raw, row_id), "u": update}
        if self._collated:
            # Text ids are compared byte by byte, and the (tag, _id) index is the one that is ordered so.
            statement["q"][self._field] = before.get(self._field)
            statement |= {"hint": self._index, "collation": SIMPLE_COLLATION}
        encoded = encode(statement)
        if len(encoded) > COMMAND_SIZE:
            return Rewrite(row_id, raw, after=_copy(after))
        return Rewrite(row_id, raw, statement=encoded)

    async def write(self, batch: Sequence[Rewrite]) -> Written:
        """Send a batch, in as many commands as it takes."""
        if any(_KEEPS in rewrite.statement or RESIDUE in (rewrite.after or ()) for rewrite in batch):
            await self._residues.require()
        rewritten = 0
        refused: dict[int, StoreRejectedError] = {}
        for places in _commands(batch):
            if len(places) == 1 and batch[places[0]].after is not None:
                outcome = await self._write_alone(batch[places[0]])
            else:
                outcome = await self._write_together([batch[place] for place in places])
            rewritten += outcome.rewritten
            refused |= {places[place]: error for place, error in outcome.refused.items()}
        return Written(rewritten, refused)

    async def _write_together(self, rewrites: Sequence[Rewrite]) -> Written:
        statements = [RawBSONDocument(rewrite.statement) for rewrite in rewrites]
        command = {"update": self._name, "updates": statements, "ordered": False, **self._concern}
        with translated():
            answer = await self._database.command(command)
        refused: dict[int, StoreRejectedError] = {}
        for fault in answer.get("writeErrors", ()):
            if fault["code"] in LATER:
                raise StoreUnavailableError(reason=f"the server gave up a write (code {fault['code']})")
            refused[fault["index"]] = rejected(fault, reason="it does not store the row")
        if (unsure := unmet(answer)) is not None:
            raise translate(unsure)
        return Written(answer["n"], refused)

    async def _write_alone(self, rewrite: Rewrite) -> Written:
        try:
            stored = await self._single.rewrite(rewrite.raw, rewrite.after or {}, session=None)
        except DuplicateRowError:
            return Written(0, {0: StoreRejectedError(reason="it does not store the row", code=_DUPLICATE_KEY)})
        except StoreRejectedError as error:
            return Written(0, {0: error})
        return Written(0 if stored is None else 1, {})


def _commands(batch: Sequence[Rewrite]) -> Iterator[list[int]]:
    """Yield the positions that go into one command."""
    places: list[int] = []
    size = 0
    for place, rewrite in enumerate(batch):
        alone = rewrite.after is not None
        if places and (alone or size + len(rewrite.statement) > COMMAND_SIZE):
            yield places
            places, size = [], 0
        places.append(place)
        size += len(rewrite.statement)
        if alone:
            yield places
            places, size = [], 0
    if places:
        yield places


def _copy(row: RawDocument) -> RawDocument:
    return decode(encode(row))
