"""
Commands as they are typed.
"""

import shlex
from typing import Any

import typer

from docstore.cli.app import app


def parse(line: str) -> None:
    """
    Parse a command as the command line does, and run nothing.

    Raises:
        typer.TyperException: It cannot be typed.
    """
    command: Any = typer.main.get_command(app)
    context = command.make_context("docstore", shlex.split(line)[1:])
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        if command is None:
            return
        context = command.make_context(name, rest, parent=context)
