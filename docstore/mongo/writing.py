"""Choosing how rows are written."""

from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.mock_writing import MockRowWriter
from docstore.mongo.row_writer import RowWriter
from docstore.mongo.server_writing import ServerRowWriter


def open_row_writer(database: AnyDatabase, collection: str) -> RowWriter:
    """Return what writes the rows of a collection over the driver that *database* belongs to; no call is made."""
    if driver_of(database) is Driver.MOCK:
        return MockRowWriter(database, collection)
    return ServerRowWriter(database, collection)
