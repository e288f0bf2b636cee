"""How the process ends: one exit code for each kind of outcome."""

from enum import IntEnum
from typing import Final

from docstore.errors import (
    AbortRuleError,
    BackfillRefusedError,
    DefinitionError,
    DocstoreError,
    DrillRefusedError,
    FenceRefusedError,
    FleetError,
    IllegalTransitionError,
    InvalidUriError,
    NotInFleetError,
    RunNotFoundError,
    StoreUnavailableError,
    UnknownKindError,
    UpgradersNotFoundError,
    VersionRangeError,
    ViewRefusedError,
)


class ExitCode(IntEnum):
    """What scripts may rely on; see `docs/cli.md`."""

    #: Everything that was asked for is done.
    DONE = 0
    #: It ran and did not reach its end: rows are left, the database refused, it was interrupted.
    FAILED = 1
    #: The command line, the URI, the package or the kind's name is wrong; nothing was tried.
    USAGE = 2
    #: A gate said no.
    REFUSED = 3
    #: The kinds or their steps are wrong.
    STEPS = 4
    #: The database cannot be reached.
    UNREACHABLE = 5
    #: The run that was waited for was cancelled by an operator.
    CANCELLED = 6
    #: It succeeded, and left rows where they are: in quarantine, or above latest.
    ROWS_LEFT = 7
    #: It waits for somebody to end a process that writes rows on the wrong side of its target.
    HELD = 8


# The first class that fits decides.
_CODES: Final[tuple[tuple[type[DocstoreError], ExitCode], ...]] = (
    (UnknownKindError, ExitCode.USAGE),
    (UpgradersNotFoundError, ExitCode.USAGE),
    (VersionRangeError, ExitCode.USAGE),
    (InvalidUriError, ExitCode.USAGE),
    (RunNotFoundError, ExitCode.USAGE),
    (NotInFleetError, ExitCode.USAGE),
    (AbortRuleError, ExitCode.USAGE),
    (FleetError, ExitCode.REFUSED),
    (BackfillRefusedError, ExitCode.REFUSED),
    (IllegalTransitionError, ExitCode.REFUSED),
    (ViewRefusedError, ExitCode.REFUSED),
    (DrillRefusedError, ExitCode.REFUSED),
    (FenceRefusedError, ExitCode.REFUSED),
    (DefinitionError, ExitCode.STEPS),
    (StoreUnavailableError, ExitCode.UNREACHABLE),
)


def exit_code_of(error: DocstoreError) -> ExitCode:
    """Return the exit code that an error stands for."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.FAILED)
