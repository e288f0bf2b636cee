"""
The commands by their names, each imported when it is typed: nobody waits for what another command needs.
"""

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

#: In the order of the help. A module `docstore.cli.NAME` has a group `app`, or a function of that name with its `HELP`
#: and `EXAMPLE`, and a class `Command` where it parses more than typer does.
NAMES: Final = (
    "demo",
    "drill",
    "adopt",
    "backfill",
    "quarantine",
    "worker",
    "views",
    "show",
    "fleet",
    "rollout",
    "coverage",
    "retire",
    "fence",
    "check",
)


class CommandsOnDemand(TyperGroup):
    """
    The group of all commands, which imports one when it is asked for, and all of them for its own help.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """
        Return the names of all commands, in the order of the help.
        """
        del ctx
        return list(NAMES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """
        Return one command, or None where there is none of that name.
        """
        # All of them for a wrong name: the nearest is suggested from those that are there.
        for name in (cmd_name,) if cmd_name in NAMES else NAMES:
            if name not in self.commands:
                self.commands[name] = _command(name)
        return super().get_command(ctx, cmd_name)


def _command(name: str) -> Any:
    module, alone = import_module(f"docstore.cli.{name}"), typer.Typer(rich_markup_mode="rich", add_completion=False)
    if isinstance(part := getattr(module, "app", None), typer.Typer):
        alone.add_typer(part, name=name)
    else:
        cls = getattr(module, "Command", None)
        alone.command(name=name, cls=cls, help=module.HELP, epilog=module.EXAMPLE)(getattr(module, name))
    # A group also where it has one command only.
    alone.callback()(_nothing)
    return typer.main.get_group(alone).commands[name]


def _nothing() -> None:
    """
    What typer calls before a command of a group that exists for its making only.
    """
