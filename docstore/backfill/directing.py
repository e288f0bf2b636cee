"""
What rows go through, by the direction of their run.
"""

from typing import Any

from docstore.backfill.downgrading import Downgrader
from docstore.backfill.tagging import Tagger
from docstore.backfill.upgrading import Upgrader
from docstore.backfill.validation import Validation
from docstore.core.bson_values import RawDocument, copied
from docstore.core.chain import CompiledChain
from docstore.core.direction import Direction
from docstore.core.kind import Kind
from docstore.core.lowering import lowered
from docstore.core.lowering_on_server import compile_down
from docstore.errors import DocumentError
from docstore.mongo.batch_writing import BatchWriter

_IN_PYTHON = {Direction.UP: Upgrader, Direction.DOWN: Downgrader, Direction.ADOPT: Tagger}


def in_python(
    direction: Direction, kind: Kind[Any], target: int, writer: BatchWriter, validation: Validation | None = None
) -> Upgrader:
    """
    Return what prepares the rewrites of rows in Python.
    """
    return _IN_PYTHON[direction](kind, target, writer, validation)


def on_server(direction: Direction, kind: Kind[Any], source: int | None, target: int) -> CompiledChain:
    """
    Return the way from *source* to *target* as the server runs it.

    Raises:
        NotCompilableError: Something on the way cannot run on the server, or `detect` decides in Python.
        NotInvertibleError: The way leads down and a step has no way back.
    """
    if direction is Direction.DOWN and source is not None:
        return compile_down(kind, source, target)
    return kind.compile(source, to=target)


def brought(kind: Kind[Any], stored: RawDocument, target: int) -> RawDocument | DocumentError:
    """
    Return what Python makes of a row, up or down, or why it refuses it; the row is left as it is.
    """
    try:
        version = kind.version(stored)
        if version > target:
            # It is compared with what a server makes of the row.
            return lowered(kind.chain, copied(stored), version, target, ordered=False)
        return kind.upgrade(stored, to=target)
    except DocumentError as error:
        return error
