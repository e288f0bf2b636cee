"""What belongs to none of the three branches."""

from collections.abc import Sequence

from docstore.errors.base import DocstoreError


class VersionRangeError(DocstoreError, ValueError):
    """A version was asked for that lies outside what the kind reads and writes."""

    def __init__(self, *, kind: str, asked: int, floor: int, latest: int, reason: str = "") -> None:
        self.kind = kind
        self.asked = asked
        self.floor = floor
        self.latest = latest
        self.reason = reason
        super().__init__(
            f"version {asked} of {kind} was asked for, which {reason or f'lies outside {floor} to {latest}'}"
        )


class BackfillRefusedError(DocstoreError):
    """A backfill was asked for that a gate does not let begin; no row was touched."""

    def __init__(self, *, kind: str, reason: str, advice: str | None = None) -> None:
        self.kind = kind
        self.reason = reason
        super().__init__(f"the backfill of {kind} is refused: {reason}", advice=advice)


class BackfillInterruptedError(DocstoreError):
    """A process was told to stop while it asked for a run; the run may be open by now, and nothing else was done."""

    def __init__(self, *, kind: str) -> None:
        self.kind = kind
        super().__init__(
            f"interrupted before anything was done of {kind}",
            advice=f"the same command goes on; docstore backfill status {kind} tells whether a run is open",
        )


class ViewRefusedError(DocstoreError):
    """A view cannot be made, or must not be touched; nothing was changed."""

    def __init__(self, *, kind: str, view: str, reason: str, advice: str | None = None) -> None:
        self.kind = kind
        self.view = view
        self.reason = reason
        super().__init__(f"the view {view!r} of {kind} is refused: {reason}", advice=advice)


class FenceRefusedError(DocstoreError):
    """
    A collection's fence cannot be put up or taken away; the collection is validated as it was.

    Where nothing but a privilege is missing, `command` is what an administrator has to type into the shell.
    """

    def __init__(self, *, kind: str, reason: str, advice: str | None = None, command: str | None = None) -> None:
        self.kind = kind
        self.reason = reason
        self.command = command
        super().__init__(f"the fence of {kind} is refused: {reason}", advice=advice)


class DrillRefusedError(DocstoreError):
    """A drill cannot be held with this kind, or with these rows; nothing was started."""

    def __init__(self, *, kind: str, reason: str, advice: str | None = None) -> None:
        self.kind = kind
        self.reason = reason
        super().__init__(f"no drill of {kind} can be held: {reason}", advice=advice)


class DrillBrokenError(DocstoreError):
    """A drill did not get to its end, so it has shown nothing; `phase` says where it was."""

    def __init__(self, *, kind: str, phase: str, reason: str, advice: str | None = None) -> None:
        self.kind = kind
        self.phase = phase
        self.reason = reason
        super().__init__(f"the drill of {kind} broke off while it was to {phase}: {reason}", advice=advice)


class IllegalTransitionError(DocstoreError):
    """A run (or a rollout) cannot go from the state that it is in to the one asked for; nothing was changed."""

    def __init__(self, *, before: str, after: str, allowed: Sequence[str], what: str = "run") -> None:
        self.before = before
        self.after = after
        self.what = what
        self.allowed = tuple(allowed)
        way_on = f"only {' or '.join(self.allowed)}" if self.allowed else "nothing"
        super().__init__(f"a {what} that is {before} cannot become {after}: {way_on} can follow")


class RunNotFoundError(DocstoreError):
    """A kind has no backfill run that the call could be about; `open_only` says that its last one has ended."""

    def __init__(self, *, kind: str, open_only: bool = False) -> None:
        self.kind = kind
        self.open_only = open_only
        which = "open backfill run" if open_only else "backfill run"
        super().__init__(f"{kind} has no {which}", advice=f"docstore backfill start {kind}")


class EmbeddedServerError(DocstoreError):
    """A private mongod could not be found or started."""

    def __init__(self, *, reason: str, missing_libraries: Sequence[str] = (), advice: str | None = None) -> None:
        self.reason = reason
        self.missing_libraries = tuple(missing_libraries)
        super().__init__(reason, advice=advice)
