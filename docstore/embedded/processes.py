"""
The near end of the line to the keeper, the process that starts the mongods and cleans up after docstore.
"""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

from docstore.errors import EmbeddedServerError

_KEEPER = Path(__file__).with_name("keeper.py")


class Keeper:
    """
    Starts, polls and kills processes in a folder that vanishes with them.

    Safe to use from one event loop after another: nothing in it is bound to a loop.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-I", "-S", str(_KEEPER), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            # A Ctrl-C or a kill of docstore's whole process group passes it by.
            start_new_session=True,
            text=True,
        )
        # Never None: both were asked for as pipes.
        self._requests = cast("IO[str]", self._process.stdin)
        self._answers = cast("IO[str]", self._process.stdout)

    async def start(self, command: Sequence[str], *, stderr: Path) -> int:
        """
        Start a program with its stderr in a file, and return its process id.

        Raises:
            EmbeddedServerError: The operating system refuses to run it. Carries its reason.
        """
        answer = await self._ask({"start": list(command), "stderr": str(stderr)})
        if "error" in answer:
            raise EmbeddedServerError(reason=f"{command[0]} does not start: {answer['error']}")
        return int(answer["pid"])

    async def poll(self, pid: int) -> int | None:
        """
        Return the exit code of a program that was started here, or None while it runs.
        """
        exit_code: int | None = (await self._ask({"poll": pid}))["exit"]
        return exit_code

    async def kill(self, pid: int) -> None:
        """
        Kill a program that was started here (SIGKILL) and return when it is gone. Idempotent.
        """
        await self._ask({"kill": pid})

    async def detach(self) -> None:
        """
        Let the programs outlive this process. The folder goes when the last of them has ended.
        """
        await self._ask({"detach": True})
        await asyncio.to_thread(self._hang_up)

    async def stop(self) -> None:
        """
        Kill every program, remove the folder, and return when both are done. Idempotent.
        """
        await asyncio.to_thread(self._hang_up)
        await asyncio.to_thread(self._process.wait)

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        return await asyncio.to_thread(self._exchange, request)

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            # One question at a time, or two askers could read each other's answer.
            with self._lock:
                self._requests.write(json.dumps(request) + "\n")
                self._requests.flush()
                answer: dict[str, Any] = json.loads(self._answers.readline())
        except (OSError, ValueError) as error:
            raise EmbeddedServerError(reason="the keeper of the private mongod has ended") from error
        return answer

    def _hang_up(self) -> None:
        self._requests.close()
        self._answers.close()
