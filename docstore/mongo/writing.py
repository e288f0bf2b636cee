"""Choosing how rows are written."""

from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.mock_writing import MockRowWriter
from docstore.mongo.own_records import SCRATCH
from docstore.mongo.row_writer import RowWriter
from docstore.mongo.server_writing import ServerRowWriter


def open_row_writer(database: AnyDatabase, collection: str) -> RowWriter:
    """Return what writes the rows of a collection over the driver that *database* belongs to; no call is made."""
    if driver_of(database) is Driver.MOCK:
        return MockRowWriter(database, collection)
    return ServerRowWriter(database, collection)


def open_scratch(writer: RowWriter) -> RowWriter:
    """
    Return what writes rows that are gone when the transaction ends in which they came: beside those of *writer*.

    They stand in `docstore_scratch`, which nobody validates; the mock, which validates nothing, needs no such place.
    """
    return ServerRowWriter(writer.database, SCRATCH) if isinstance(writer, ServerRowWriter) else writer
