"""
Opening a database for the command line: what is wrong is told without a letter of the credentials.
"""

import traceback

import pytest

from docstore.errors import InvalidUriError, StoreRejectedError, StoreUnavailableError
from docstore.mongo.client import connected

PASSWORD = "s3cr3t"  # noqa: S105 - it must not turn up anywhere


async def refusal(uri: str, database: str | None = None) -> Exception:
    with pytest.raises((InvalidUriError, StoreUnavailableError, StoreRejectedError)) as caught:
        async with connected(uri, database):
            pass
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    return caught.value


@pytest.mark.parametrize(
    "uri",
    [
        f"mongodb://me:{PASSWORD}@127.0.0.1:port/db",
        f"mongodb://me:{PASSWORD}/@127.0.0.1:1/db",
        f"mongodb://me:a/{PASSWORD}@127.0.0.1:1/db",
        f"mongodb://me:{PASSWORD}@ss@127.0.0.1:1/db",
        f"mongodb://me:ss@{PASSWORD}@127.0.0.1:1/db",
        f"mongodb://me:%{PASSWORD}@127.0.0.1:1/db",
        f"mongodb://me:x:{PASSWORD}@127.0.0.1:1/db",
        f"mongodb://me:1?{PASSWORD}@127.0.0.1:1/db",
        f"mongodb://me:1?{PASSWORD}=x@127.0.0.1:1/db",
        f"mongodb://me:{PASSWORD}@/db",
        f"mongodb://me:{PASSWORD}@127.0.0.1:1,/db",
        f"postgres://me:{PASSWORD}@127.0.0.1:1/db",
        f"me:{PASSWORD}@127.0.0.1:1",
        f"mongodb://me:{PASSWORD}@127.0.0.1:1/",
        f"mongodb+srv://me:{PASSWORD}@127.0.0.1:1/db",
        "mongodb://",
        "",
        "no uri at all",
        "mongodb://127.0.0.1:1",
    ],
)
async def test_a_uri_that_cannot_be_used_is_told(uri: str) -> None:
    assert isinstance(await refusal(uri), InvalidUriError)


async def test_a_name_that_no_database_can_have_is_told() -> None:
    assert isinstance(await refusal("mongodb://127.0.0.1:1", "a/b"), InvalidUriError)


async def test_a_server_that_is_not_there_is_told() -> None:
    error = await refusal(f"mongodb://me:{PASSWORD}@127.0.0.1:1/db?serverSelectionTimeoutMS=50")

    assert isinstance(error, StoreUnavailableError)
    assert error.reason.startswith("127.0.0.1:1: ")


async def test_wrong_credentials_are_told(mongod_uri: str) -> None:
    uri = mongod_uri.replace("mongodb://", f"mongodb://me:{PASSWORD}@").replace("/?", "/db?")

    assert isinstance(await refusal(uri), StoreRejectedError)


async def test_the_database_is_the_one_that_was_named(mongod_uri: str) -> None:
    async with connected(mongod_uri.replace("/?", "/inside?")) as from_uri, connected(mongod_uri, "given") as given:
        assert (from_uri.name, given.name) == ("inside", "given")


@pytest.mark.parametrize(
    ("option", "seconds"),
    [("", 5.0), ("serverSelectionTimeoutMS=70000&", 70.0), ("SERVERSELECTIONTIMEOUTMS=70000&", 70.0)],
)
async def test_a_server_is_looked_for_as_long_as_the_uri_says_or_five_seconds(
    mongod_uri: str, option: str, seconds: float
) -> None:
    async with connected(mongod_uri.replace("/?", f"/db?{option}")) as database:
        assert database.client.options.server_selection_timeout == seconds
