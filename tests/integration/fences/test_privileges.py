"""
A fence on a server with access control, by a user who may read and write and nothing else.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from docstore.core.fence import FenceBounds
from docstore.embedded.binary import find_mongod
from docstore.embedded.member import free_port
from docstore.errors import FenceRefusedError
from docstore.mongo.fence import raise_fence, read_fence

BOUNDS = FenceBounds("city", "v", 2, 3)
USER, ADMIN = "writer", "admin"

pytestmark = pytest.mark.long


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[str]:
    """
    The address of a mongod that asks who is there, and knows an administrator and a user of the database `shop`.
    """
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        find_mongod(),
        *("--auth", "--bind_ip", "127.0.0.1", "--port", str(port), "--dbpath", str(tmp_path), "--nounixsocket"),
        *("--logpath", str(tmp_path / "mongod.log"), "--wiredTigerCacheSizeGB", "0.25"),
    )
    try:
        async with AsyncMongoClient[dict[str, Any]]("127.0.0.1", port) as client:
            await client["admin"].command("createUser", ADMIN, pwd=ADMIN, roles=["root"])
        async with AsyncMongoClient[dict[str, Any]](f"mongodb://{ADMIN}:{ADMIN}@127.0.0.1:{port}") as client:
            await client["shop"].command("createUser", USER, pwd=USER, roles=["readWrite"])
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def test_who_may_not_change_the_rules_is_told_what_an_administrator_types(guarded: str) -> None:
    own = {"name": {"$type": "string"}}
    async with (
        AsyncMongoClient[dict[str, Any]](f"mongodb://{USER}:{USER}@{guarded}/shop") as client,
        AsyncMongoClient[dict[str, Any]](f"mongodb://{ADMIN}:{ADMIN}@{guarded}") as administrator,
    ):
        await administrator["shop"].create_collection("cities", validator=own)
        with pytest.raises(FenceRefusedError, match="privilege collMod is missing") as refused:
            await raise_fence(client["shop"], "cities", BOUNDS)
        command = refused.value.command
        assert command is not None
        assert (await read_fence(client["shop"], "cities")).bounds is None

        typed = command.removeprefix("db.runCommand(").removesuffix(")")
        await administrator["shop"].command(json.loads(typed))
        assert (await raise_fence(client["shop"], "cities", BOUNDS)).own.validator == own
        with pytest.raises(OperationFailure, match="Document failed validation"):
            await client["shop"]["cities"].insert_one({"v": 1, "name": "Rome"})
        with pytest.raises(PyMongoError, match="not authorized"):
            await (
                client["shop"]["cities"]
                .with_options()
                .insert_one({"v": 1, "name": "Rome"}, bypass_document_validation=True)
            )
