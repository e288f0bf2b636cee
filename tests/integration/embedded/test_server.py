import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from docstore.embedded import EmbeddedServer, member
from docstore.errors import EmbeddedServerError

CHILD = """
import asyncio, json, os, sys
from docstore.embedded import EmbeddedServer

async def main():
    server = await EmbeddedServer().start()
    if sys.argv[1] == "detach":
        await server.detach()
    facts = {"pid": server.members[0].pid, "folder": str(server.folder), "uri": server.uri}
    print(json.dumps(facts), flush=True)
    if sys.argv[1] == "wait":
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - there is nobody to set an event
        await asyncio.sleep(0.01)


def start_child(what: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, what], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdout is not None
    facts: dict[str, Any] = json.loads(child.stdout.readline())
    child.stdout.close()
    return child, facts


async def test_one_member_takes_majority_writes_and_transactions_as_soon_as_it_has_started() -> None:
    async with EmbeddedServer() as server, AsyncMongoClient[dict[str, Any]](server.uri) as client:
        notes = client.shop.notes
        await notes.insert_one({"_id": 1})
        async with client.start_session() as session, await session.start_transaction():
            await notes.insert_one({"_id": 2}, session=session)

        assert await notes.count_documents({}) == 2


async def test_it_listens_on_the_loopback_address_only() -> None:
    async with EmbeddedServer() as server, AsyncMongoClient[dict[str, Any]](server.uri) as client:
        options = await client.admin.command("getCmdLineOpts")

    assert options["parsed"]["net"]["bindIp"] == "127.0.0.1"


async def test_two_servers_run_side_by_side() -> None:
    async with EmbeddedServer() as one, EmbeddedServer() as other:
        assert one.members[0].port != other.members[0].port
        assert one.folder != other.folder


async def test_stop_ends_the_process_and_removes_the_folder_and_may_be_repeated() -> None:
    server = await EmbeddedServer().start()
    pid, folder = server.members[0].pid, server.folder
    assert pid is not None
    assert runs(pid)
    assert folder.exists()

    await server.stop()
    await server.stop()

    assert not runs(pid)
    assert not folder.exists()


def test_it_is_started_in_one_event_loop_and_stopped_in_another(temporary_folder: Path) -> None:
    server = EmbeddedServer()

    asyncio.run(server.start())
    asyncio.run(server.stop())

    assert list(temporary_folder.iterdir()) == []


async def test_a_port_that_another_process_took_first_is_given_up_for_the_next(
    mongod: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, free = mongod.members[0].port, member.free_port()
    ports = [taken, free]
    monkeypatch.setattr(member, "free_port", lambda: ports.pop(0))

    async with EmbeddedServer() as server:
        assert server.members[0].port == free


@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["the process", "its process group"])
async def test_when_the_parent_is_killed_mongod_ends_and_the_folder_goes(
    kill: Callable[[int, int], None], temporary_folder: Path
) -> None:
    child, facts = start_child("wait")
    assert runs(facts["pid"])
    assert Path(facts["folder"]).parent == temporary_folder

    kill(child.pid, signal.SIGKILL)
    child.wait()

    await until(lambda: not runs(facts["pid"]))
    await until(lambda: list(temporary_folder.iterdir()) == [])


async def test_when_the_parent_ends_without_stopping_it_mongod_ends_too(temporary_folder: Path) -> None:
    child, facts = start_child("forget")
    child.wait()

    await until(lambda: not runs(facts["pid"]))
    await until(lambda: list(temporary_folder.iterdir()) == [])


async def test_a_detached_server_outlives_its_parent_until_it_is_told_to_end(temporary_folder: Path) -> None:
    child, facts = start_child("detach")
    child.wait()
    async with AsyncMongoClient[dict[str, Any]](facts["uri"]) as client:
        await client.shop.notes.insert_one({"_id": 1})
        assert await client.shop.notes.count_documents({}) == 1

    os.kill(facts["pid"], signal.SIGTERM)

    await until(lambda: not runs(facts["pid"]))
    await until(lambda: list(temporary_folder.iterdir()) == [])


async def test_a_mongod_that_cannot_run_leaves_nothing_behind(temporary_folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\necho 'no room left' >&2\nexit 3\n")
    broken.chmod(0o755)

    with pytest.raises(EmbeddedServerError, match="exit code 3: no room left"):
        await EmbeddedServer(mongod=broken).start()

    assert list(temporary_folder.iterdir()) == [broken]


async def test_a_start_that_takes_too_long_is_given_up_and_leaves_nothing_behind(
    temporary_folder: Path, tmp_path: Path
) -> None:
    silent = tmp_path / "mongod"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o755)

    with pytest.raises(EmbeddedServerError, match=r"not ready within 0\.2 s"):
        await EmbeddedServer(mongod=silent, start_timeout=0.2).start()

    assert list(temporary_folder.iterdir()) == [silent]


async def test_a_member_that_cannot_start_again_shows_the_end_of_its_log() -> None:
    async with EmbeddedServer() as server:
        await server.kill_member(0)
        (server.members[0].folder / "WiredTiger.turtle").write_text("not a turtle")

        with pytest.raises(EmbeddedServerError) as caught:
            await server.restart_member(0)

    assert "WiredTiger" in "\n".join(caught.value.__notes__)


async def test_a_server_that_does_not_run_refuses_to_be_broken() -> None:
    with pytest.raises(EmbeddedServerError, match="not running"):
        await EmbeddedServer().kill_member(0)


async def test_three_members_hand_over_and_survive_a_loss(replica_set: EmbeddedServer) -> None:
    first = await replica_set.primary()

    second = await replica_set.step_down()
    assert second != first

    await replica_set.kill_member(second)
    third = await replica_set.primary()
    assert third != second

    await replica_set.restart_member(second)
    states = [await each.hello() for each in replica_set.members]
    assert sum(state["isWritablePrimary"] for state in states) == 1
    assert sum(state["secondary"] for state in states) == 2
