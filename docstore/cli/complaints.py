"""What goes wrong, on stderr: one line for the error, one for what to do next, no traceback."""

import os
import sys
import traceback
from collections.abc import Iterator
from typing import Final

from rich.console import Console

from docstore.cli.exits import ExitCode, exit_code_of
from docstore.cli.hints import hint_for
from docstore.errors import DocstoreError, FenceRefusedError

#: Set to 1 to see tracebacks.
DEBUG: Final = "DOCSTORE_DEBUG"


def complain(text: str, hint: str | None = None) -> None:
    """Write `error: ...` and `hint: ...` to stderr, coloured on a terminal only."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print("[bold red]error:[/]", end=" ")
    console.print(_one_line(text), markup=False)
    if hint is not None:
        console.print("[bold]hint:[/]", end=" ")
        console.print(_one_line(hint), markup=False)


def note(text: str) -> None:
    """Write a remark to stderr that is no error."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(_one_line(text), markup=False)


def complain_about(error: BaseException) -> ExitCode:
    """Tell the user about an error, every fault of a group on a line of its own, and return the exit code for it."""
    if os.environ.get(DEBUG) == "1":
        traceback.print_exception(error)
    if not isinstance(error, DocstoreError):
        complain(f"unexpected {type(error).__name__} {_where(error)}", f"{DEBUG}=1 shows where it comes from")
        return ExitCode.FAILED
    faults = list(_faults(error))
    hints = [hint_for(fault) if isinstance(fault, DocstoreError) else None for fault in faults]
    for fault, hint, following in zip(faults, hints, [*hints[1:], None], strict=True):
        # What is to be done about several faults alike is said once, behind the last of them.
        complain(str(fault), None if hint == following else hint)
        if isinstance(fault, FenceRefusedError) and fault.command is not None:
            # As it is to be typed: neither wrapped nor coloured.
            print(fault.command, file=sys.stderr)  # noqa: T201
    return exit_code_of(error)


def _faults(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _faults(member)
    else:
        yield error


def _where(error: BaseException) -> str:
    # The text of an error that nobody foresaw may hold anything, also a password.
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "with no place"
    return f"in {frames[-1].filename.removeprefix(sys.prefix)}:{frames[-1].lineno}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
