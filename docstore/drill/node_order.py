"""
What a node of a drill is told when it is started, as one line of JSON.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class NodeOrder(BaseModel):
    """
    A node of one of the two releases.
    """

    model_config = ConfigDict(frozen=True)

    #: Where the rows are: the private mongod, or the staging deployment. Never shown.
    uri: str
    database: str
    #: The package that holds the kind, and from which folder it is imported.
    package: str
    folder: Path
    kind: str
    #: The version with which this release ends; its own latest where None.
    latest: int | None = None
    #: The model of that version's shape, as "package.module:Class"; every shape is taken where it is None.
    model: str | None = None
    #: Whether the kind's own model is that of this release.
    own_model: bool = True
    service: str
    instance: str
    #: Rows to take values from, at the version that the older release ends with.
    rows: Path
    journal: Path
    seed: int
    #: Writes under way at the same time.
    writers: int = 3
    #: Top-level fields that take values of other rows only; None stands for all.
    copied: tuple[str, ...] | None = None


class NodeReport(BaseModel):
    """
    How a node stands, as it says by itself a few times a second.
    """

    model_config = ConfigDict(frozen=True)

    #: "ready", "working", "paused", "ended" or "refused".
    state: str
    #: The version that its release ends with.
    latest: int = 0
    writes: int = 0
    #: Writes that met a conflict at every try, and rows that were gone.
    conflicts: int = 0
    #: Writes that were refused by name, by the class of the error.
    refused: dict[str, int] = {}
    #: Writes whose outcome nobody knows.
    doubtful: int = 0
    reads: int = 0
    #: Why it does not work, where it does not.
    reason: str = ""
