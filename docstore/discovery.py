"""Finding the kinds that a package holds."""

import importlib
import importlib.util
import pkgutil
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from docstore.core.kind import Kind
from docstore.errors import (
    CollectionSharedError,
    DefinitionError,
    KindDefinitionError,
    KindModuleError,
    StepContentError,
    UnknownKindError,
    UpgradersNotFoundError,
)


def find_kinds(package: str) -> dict[str, Kind[Any]]:
    """
    Import a package with its modules and sub-packages, and return the kinds they hold by name, in order of name.

    A kind counts wherever a module names it (`city = Kind(...)`, or imported). Step files are imported by their kind.

    Raises:
        UpgradersNotFoundError: There is no such package, or it holds no kind.
        DefinitionError: A module cannot be imported (with file and line), a kind's steps are at fault, or two kinds
            share a name or a collection. More than one fault comes as a `KindDefinitionError` that holds them all.
    """
    faults: list[DefinitionError] = []
    _require(package)
    root = _imported(package, faults)
    inside = [] if root is None else pkgutil.iter_modules(getattr(root, "__path__", ()))
    modules = [root, *(_imported(f"{package}.{info.name}", faults) for info in inside)]
    found = [
        value for module in modules if module is not None for value in vars(module).values() if isinstance(value, Kind)
    ]
    kinds = list({id(kind): kind for kind in found}.values())
    faults += _clashes(kinds)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise KindDefinitionError(f"the kinds in {package!r} cannot be used", faults)
    if not kinds:
        raise UpgradersNotFoundError(package=package, reason="holds no Kind")
    return {kind.name: kind for kind in sorted(kinds, key=lambda kind: kind.name)}


def kind_named(name: str, kinds: dict[str, Kind[Any]], *, where: str) -> Kind[Any]:
    """
    Return one of *kinds* by its name.

    Raises:
        UnknownKindError: There is none of that name; carries the names that there are.
    """
    if name not in kinds:
        raise UnknownKindError(kind=name, known=sorted(kinds), where=where)
    return kinds[name]


def _require(package: str) -> None:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError) as error:
        # A dotted name whose parent is not there, or what is no module name at all.
        raise UpgradersNotFoundError(package=package, reason="cannot be found") from error
    if spec is None:
        raise UpgradersNotFoundError(package=package, reason="cannot be found")


def _imported(name: str, faults: list[DefinitionError]) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except DefinitionError as error:
        faults.append(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a module raises is a fault of it
        faults.append(_fault(name, error))
    return None


def _fault(module: str, error: BaseException) -> KindModuleError:
    """Tell where a module broke: the line of the syntax error, or the last line outside libraries that ran."""
    spec = importlib.util.find_spec(module)
    origin = None if spec is None else spec.origin
    file, line = origin or module, None
    folder = Path(file).parent
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).is_relative_to(folder):
            file, line = frame.filename, frame.lineno
    if isinstance(error, SyntaxError) and error.filename is not None:
        file, line = error.filename, error.lineno
    reason = error.msg if isinstance(error, SyntaxError) else str(error)
    fault = KindModuleError(module=module, file=_relative(file), line=line, reason=f"{type(error).__name__}: {reason}")
    fault.__cause__ = error
    return fault


def _relative(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def _clashes(kinds: list[Kind[Any]]) -> Iterator[DefinitionError]:
    by_name: dict[str, Kind[Any]] = {}
    by_collection: dict[str, Kind[Any]] = {}
    for kind in kinds:
        if kind.name in by_name:
            yield StepContentError(reason="has the name of another kind: names are unique", kind=kind.name)
        elif kind.collection in by_collection:
            first = by_collection[kind.collection]
            yield CollectionSharedError(collection=kind.collection, first=first.name, second=kind.name)
        by_name.setdefault(kind.name, kind)
        by_collection.setdefault(kind.collection, kind)
