"""
How a command ends that is broken off.
"""

import asyncio
import gc

import pytest
import typer

from docstore.cli.exits import ExitCode
from docstore.cli.running import run


def test_a_ctrl_c_in_the_midst_of_any_task_leaves_no_traceback(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    async def command() -> ExitCode:
        working = asyncio.create_task(interrupted())
        await asyncio.sleep(60)
        await working
        return ExitCode.DONE

    with pytest.raises(typer.Exit) as left:
        run(command())
    gc.collect()

    assert left.value.exit_code == ExitCode.FAILED
    # Outside of a test it would be printed.
    assert caplog.text == ""
    _, errors = capfd.readouterr()
    assert errors.splitlines() == ["error: interrupted", "hint: every command may be repeated"]


def test_what_goes_wrong_in_a_task_that_nobody_asks_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise ValueError("not foreseen")

    async def command() -> ExitCode:
        forgotten = asyncio.create_task(broken())
        await asyncio.sleep(0)
        del forgotten
        gc.collect()
        return ExitCode.DONE

    with pytest.raises(typer.Exit):
        run(command())
    gc.collect()

    assert "Task exception was never retrieved" in caplog.text
