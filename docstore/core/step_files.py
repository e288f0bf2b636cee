"""Finding a kind's steps in the files of its package."""

import importlib
import pkgutil
import re
import traceback
from types import ModuleType
from typing import Final

from docstore.core.step import Step
from docstore.errors import DefinitionError, StepFileError

_NAME: Final = re.compile(r"v(?P<version>\d{4,})_[a-z0-9_]+")


def load_steps(package: str, *, kind: str) -> tuple[list[tuple[Step, str]], list[DefinitionError]]:
    """
    Import every step file of a package and return the steps with the files that they came from.

    Files are named `vNNNN_what.py`; the number is the version that the step produces. A module that begins with a
    `v` and a digit and is not named so is a fault, others are left alone.

    Returns:
        The steps, and every fault that was found: a package or a file that cannot be imported (with the line at
        fault), a file that holds no step, or whose name does not fit.
    """
    steps: list[tuple[Step, str]] = []
    faults: list[DefinitionError] = []
    try:
        root = importlib.import_module(package)
    except Exception as error:  # noqa: BLE001 - whatever the package raises is a fault of its own
        return steps, [_fault(error, kind=kind, file=f"{package.replace('.', '/')}/__init__.py")]
    folders = getattr(root, "__path__", None)
    if folders is None:
        reason = f"{package!r} is a module and no package with one file per step"
        return steps, [StepFileError(kind=kind, file=f"{package.replace('.', '/')}.py", line=None, reason=reason)]
    for info in sorted(pkgutil.iter_modules(folders), key=lambda module: module.name):
        if not re.match(r"[vV]\d", info.name):
            continue
        file = f"{package.replace('.', '/')}/{info.name}.py"
        match = _NAME.fullmatch(info.name)
        if match is None:
            faults.append(StepFileError(kind=kind, file=file, line=None, reason="the name is no vNNNN_what.py"))
            continue
        version = int(match["version"])
        try:
            module = importlib.import_module(f"{package}.{info.name}")
            steps.append((_step_of(module, version), file))
        except Exception as error:  # noqa: BLE001 - whatever a module raises is a fault of that file
            faults.append(_fault(error, kind=kind, file=file))
    return steps, faults


def _step_of(module: ModuleType, version: int) -> Step:
    step = getattr(module, "step", None)
    if not isinstance(step, Step):
        raise _NoStepError("it holds no `step = Step(...)`")
    if step.to is not None and step.to != version:
        raise _NoStepError(f"its step says to={step.to}, its name says {version}")
    if version < 1:
        raise _NoStepError("versions begin with 1")
    return step.produces(version)


class _NoStepError(Exception):
    pass


def _fault(error: Exception, *, kind: str, file: str) -> StepFileError:
    if isinstance(error, _NoStepError):
        return StepFileError(kind=kind, file=file, line=None, reason=str(error))
    line = None
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.endswith(file):
            line = frame.lineno
    if isinstance(error, SyntaxError) and error.filename is not None and error.filename.endswith(file):
        line = error.lineno
    fault = StepFileError(kind=kind, file=file, line=line, reason=f"{type(error).__name__}: {error}")
    fault.__cause__ = error
    return fault
