"""Opening a database for the command line: an own client, checked before it is used."""

import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pymongo
from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, PyMongoError

from docstore.core.bson_values import RawDocument
from docstore.errors import InvalidUriError, StoreUnavailableError
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.failures import translate
from docstore.mongo.leaving import said

#: How long to look for a server that takes the first command, unless the URI says otherwise; in milliseconds.
SERVER_SELECTION_TIMEOUT: Final = 5000
#: How long closing may take, in seconds.
CLOSING_TIME: Final = 0.4


@asynccontextmanager
async def connected(uri: str, database: str | None = None) -> AsyncIterator[AnyDatabase]:
    """
    Open a database on a client of its own (PyMongo Async), ask whether it answers, and close the client afterwards.

    Args:
        uri: The connection string. What it says about timeouts counts.
        database: The database's name; by default the one that the URI names.

    Raises:
        InvalidUriError: The URI or the name cannot be used, or neither names a database. Nothing of the URI's
            credentials is in it.
        StoreUnavailableError: No server took a command in time (5 s unless the URI says otherwise).
        StoreRejectedError: The server refused; wrong credentials, for example.
    """
    client = _client(uri)
    try:
        target = _database(client, uri, database)
        await _answered(target)
        yield target
    finally:
        await said(_closed(client), seconds=CLOSING_TIME)


async def _closed(client: AsyncMongoClient[RawDocument]) -> None:
    # Closing tells the server so, and would look for a server that is away as long as for any other call.
    with pymongo.timeout(CLOSING_TIME):
        await client.close()


def _client(uri: str) -> AsyncMongoClient[RawDocument]:
    options: dict[str, Any] = {}
    if "serverselectiontimeoutms=" not in uri.rpartition("?")[2].lower():
        options["serverSelectionTimeoutMS"] = SERVER_SELECTION_TIMEOUT
    try:
        with warnings.catch_warnings(action="ignore"):
            # A warning about an option quotes the URI.
            return AsyncMongoClient[RawDocument](uri, appname="docstore", **options)
    except (PyMongoError, ValueError) as error:
        # The driver's own error quotes the URI too, so it is left out of the chain.
        raise InvalidUriError(uri=_without_credentials(uri), reason=_reason(uri, error)) from None


def _database(client: AsyncMongoClient[RawDocument], uri: str, name: str | None) -> AnyDatabase:
    try:
        return client.get_default_database() if name is None else client[name]
    except ConfigurationError as error:
        raise InvalidUriError(
            uri=_without_credentials(uri), reason="it names no database; end it in /NAME, or pass --database NAME"
        ) from error
    except PyMongoError as error:
        raise InvalidUriError(
            uri=_without_credentials(uri), reason=f"{name!r} cannot be the name of a database"
        ) from error


async def _answered(database: AnyDatabase) -> None:
    try:
        await database.command("ping")
    except ConfigurationError as error:
        # DNS is asked when the first connection is made.
        raise StoreUnavailableError(reason=str(error)) from error
    except PyMongoError as error:
        raise translate(error) from error


def _reason(uri: str, error: Exception) -> str:
    """Say what is wrong with a URI without a letter of its credentials, which a fault may have moved anywhere."""
    if "@" not in uri:
        return str(error)
    try:
        with warnings.catch_warnings(action="ignore"):
            AsyncMongoClient[RawDocument](_without_credentials(uri, instead=""))
    except (PyMongoError, ValueError) as rest:
        return str(rest)
    return "user name and password must be percent-encoded (':' is %3A, '/' is %2F, '@' is %40, '%' is %25)"


def _without_credentials(uri: str, *, instead: str = "***@") -> str:
    # From the scheme to the last "@": a password that was not encoded may hold any of ":/@?".
    before, at, rest = uri.rpartition("@")
    scheme, separator, _ = before.partition("://")
    return f"{scheme if separator else ''}{separator}{instead}{rest}" if at else uri
