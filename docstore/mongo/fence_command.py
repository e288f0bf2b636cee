"""
How a collection is validated, as commands: for the server, and for an administrator to type.
"""

from collections.abc import Mapping
from typing import Any

from docstore.core.bson_values import RawDocument
from docstore.core.extended_json import to_text
from docstore.core.floor_state import Validation


def options_of(wanted: Validation) -> RawDocument:
    """
    Return how a collection is to be validated, as the commands `collMod` and `create` want it.
    """
    return {
        "validator": dict(wanted.validator or {}),
        "validationLevel": wanted.level,
        "validationAction": wanted.action,
    }


def shell_command(collection: str, wanted: Validation) -> str:
    """
    Return what to type into the shell to have a collection validated so.
    """
    command: RawDocument = {"collMod": collection, **options_of(wanted)}
    text = to_text(command)
    # Ids, dates and the like have no literal that both the shell and JSON know.
    return f"db.runCommand(EJSON.parse({to_text(text)}))" if _needs_types(command) else f"db.runCommand({text})"


def _needs_types(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_needs_types(each) for each in value.values())
    if isinstance(value, list):
        return any(map(_needs_types, value))
    return value is not None and not isinstance(value, str | int | float | bool)
