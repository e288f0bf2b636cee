"""
The process that stands between docstore and its mongods, so that none of them outlives docstore.

Run as a script with a folder as its argument. It is the mongods' parent, takes one JSON request per line on
stdin and answers each with one line of JSON on stdout:

    {"start": [program, argument, ...], "stderr": path}  ->  {"pid": 42} or {"error": "Permission denied"}
    {"poll": 42}                                         ->  {"exit": null} while it runs, else {"exit": 0}
    {"kill": 42}                                         ->  {"exit": -9}
    {"detach": true}                                     ->  {}

When stdin ends, which the operating system sees to even if docstore is killed, it kills what still runs and
removes the folder. After `detach` it waits until the mongods end by themselves, and removes the folder then.

Standard library only, and few modules of it: it is started with `-I -S` to be up in some 20 ms.
"""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any


def main(folder: Path) -> None:
    """
    Serve requests until stdin ends, then leave nothing behind: no process, no folder.
    """
    # A Ctrl-C meant for docstore, or a hang-up of its terminal, must not end the one that cleans up after it.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # Not SIG_IGN, which the mongods would inherit: `kill PID` is how a detached one is stopped.
        signal.signal(number, lambda *_: None)
    children: dict[int, subprocess.Popen[bytes]] = {}
    detached = False
    for line in sys.stdin:
        request = json.loads(line)
        detached = detached or "detach" in request
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(answer(request, children)), flush=True)  # noqa: T201 - the protocol
    for child in children.values():
        if not detached:
            child.kill()
        child.wait()
    shutil.rmtree(folder, ignore_errors=True)


def answer(request: dict[str, Any], children: dict[int, subprocess.Popen[bytes]]) -> dict[str, Any]:
    """
    Carry out one request and return its answer.
    """
    if "start" in request:
        try:
            with Path(request["stderr"]).open("wb") as stderr:
                child = subprocess.Popen(  # noqa: S603 - docstore chose the program
                    request["start"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                )
        except OSError as error:
            return {"error": error.strerror or str(error)}
        children[child.pid] = child
        return {"pid": child.pid}
    if "poll" in request:
        return {"exit": children[request["poll"]].poll()}
    if "kill" in request:
        child = children[request["kill"]]
        child.kill()
        return {"exit": child.wait()}
    return {}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
