"""
The steps that were retired and kept: a kind that reads the rows of a restored backup again.

They lie in the package `retired` within the package of the kind, which no service imports.
"""

import importlib.util
from typing import Final, TypeVar

from docstore.core.chain import Chain
from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.kind_faults import ordered, step_faults
from docstore.core.step_files import load_steps
from docstore.errors import KindDefinitionError, RetiredStepsMissingError, StepContentError, VersionGapError

#: The package of the retired steps, within that of the kind.
RETIRED: Final = "retired"

D = TypeVar("D", bound=Document)


def with_retired(kind: Kind[D]) -> Kind[D]:
    """
    Return the same kind with the retired steps below its own, and the floor from which they lead up.

    It stands for the kind for one command: its chain is another one, so no worker of a service takes part in its runs.

    Raises:
        RetiredStepsMissingError: The kind keeps no retired steps: it has no package, or that has none.
        KindDefinitionError: A group of every fault in them: a gap up to the kind's floor, a file that cannot be
            imported (file and line), ...
    """
    if kind.package is None:
        raise RetiredStepsMissingError(kind=kind.name, floor=kind.floor, package=None)
    package = f"{kind.package}.{RETIRED}"
    if importlib.util.find_spec(package) is None:
        raise RetiredStepsMissingError(kind=kind.name, floor=kind.floor, package=package)
    located, faults = load_steps(package, kind=kind.name)
    faults += step_faults(kind.name, kind.version_field, located)
    retired = [step.to or 0 for step, _ in located]
    if not retired and not faults:
        raise RetiredStepsMissingError(kind=kind.name, floor=kind.floor, package=package)
    # Nothing says how far down they lead but they themselves.
    floor = min(retired, default=kind.floor + 1) - 1
    steps, order_faults = ordered(located, kind=kind.name, floor=floor, complete=not faults)
    faults += order_faults
    highest = max(retired, default=kind.floor)
    if highest < kind.floor and not faults:
        faults.append(VersionGapError(kind=kind.name, missing=range(highest + 1, kind.floor + 1)))
    if highest > kind.floor:
        reason = f"lies among the retired steps, and the floor is {kind.floor}"
        faults.append(StepContentError(reason=reason, kind=kind.name, version=highest))
    if faults:
        raise KindDefinitionError(f"the retired steps of {kind.name!r} cannot be used", faults, kind=kind.name)
    extended = kind.copy()
    extended.floor = floor
    extended.chain = Chain(kind=kind.name, field=kind.version_field, floor=floor, steps=[*steps, *kind.steps])
    return extended
