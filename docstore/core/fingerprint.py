"""
Fingerprints of steps: whether two processes mean the same by a kind's chain.
"""

import hashlib
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from types import CodeType
from typing import Any

from docstore.core.direction import Direction
from docstore.core.kind import Kind
from docstore.core.step import Step

#: The entry that stands for what a kind says outside of its steps.
OF_KIND = "kind"


def fingerprints(kind: Kind[Any], target: int, direction: Direction = Direction.UP) -> dict[str, str]:
    """
    Return the fingerprints of what a run to *target* applies: of each step by its version, and of the kind's tag.

    The same source gives the same fingerprints in every process and on every machine. Of a function it is the text
    that counts, up and down; what the function calls is not looked at.

    On a way down that begins at latest, code that knows another latest is other code: what is newer to one of them is
    nothing that both may touch (P4).
    """
    about: tuple[Any, ...] = (kind.collection, kind.version_field, kind.baseline, kind.detect)
    low, high = kind.floor, target
    if direction is Direction.DOWN:
        about = (*about, kind.latest)
        low, high = target, kind.latest
    elif direction is Direction.ADOPT:
        high = kind.floor
    steps = {str(step.to): step_fingerprint(step) for step in kind.chain.between(low, high)}
    return {OF_KIND: _digest(_text(about)), **steps}


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """
    Return which of *theirs* differ from *ours* or are missing there, in order.
    """
    return [name for name, digest in theirs.items() if ours.get(name) != digest]


def step_fingerprint(step: Step) -> str:
    """
    Return the fingerprint of one step; of a step of operations it is that of what they were given.
    """
    if step.operations:
        return _digest(_text(step.operations))
    return _digest(_text((step.upgrade, step.downgrade, step.declared_writes)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _text(value: Any) -> str:
    """
    Write a value so that equal definitions give equal texts, without the addresses that `repr` shows of functions.
    """
    if is_dataclass(value) and not isinstance(value, type):
        # What is derived from the other fields is left out of comparisons, and so it is here.
        parts = [f"{field.name}={_text(getattr(value, field.name))}" for field in fields(value) if field.compare]
        return f"{type(value).__qualname__}({', '.join(parts)})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)}: {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, set | frozenset):
        return "{" + ", ".join(sorted(map(_text, value))) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    return _of_function(value) if callable(value) else repr(value)


def _of_function(function: Callable[..., Any]) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function)).strip()
    except (OSError, TypeError):
        # Typed into a shell, built by a factory of another library, or not written in Python.
        code = getattr(function, "__code__", None)
        name = getattr(function, "__qualname__", type(function).__qualname__)
        return _of_code(code) if isinstance(code, CodeType) else f"{getattr(function, '__module__', '')}.{name}"


def _of_code(code: CodeType) -> str:
    constants = [_of_code(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"
