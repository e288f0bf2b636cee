"""
Names of a package that are imported when they are first asked for (PEP 562).
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def late_imports(
    names: dict[str, Any], home: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """
    Return a package's `__getattr__` and `__dir__`, which import each name from its module at its first use.

    Args:
        names: The globals of the package; what was imported once stays there.
        home: The module of each name.
    """

    def get(name: str) -> Any:
        if name not in home:
            msg = f"module {names['__name__']!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value = getattr(import_module(home[name]), name)
        names[name] = value
        return value

    def all_names() -> list[str]:
        return sorted({*names, *home})

    return get, all_names
