"""
What the control records of a database say, as values.
"""

import datetime
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bson.binary import Binary, UuidRepresentation

from docstore.core.canonical_id import bucket
from docstore.core.fleet_facts import DeclaredReader
from docstore.core.floor_state import FLOOR_PREFIX, FloorState
from docstore.core.record_format import CONTROL, known_fields
from docstore.core.rollout_state import OPEN
from docstore.core.write_version import ControlState, Stored, VersionRange

#: The `_id` of the one record of the whole fleet, and what those of the others begin with.
FLEET: Final = "fleet"
KIND_PREFIX: Final = "kind:"
KNOB_PREFIX: Final = "knob:"


@dataclass(frozen=True, slots=True)
class Freeze:
    """
    Nobody can advance anything.
    """

    by: str
    why: str
    at: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Knob:
    """
    A named runtime value, for all keys or for a share of them.
    """

    name: str
    value: Any
    #: 0 to 100; for the others the caller's default counts.
    percent: float
    epoch: int

    def value_for(self, key: Any, default: Any) -> Any:
        """
        Return the value for a key: the same key gets the same answer on every node.
        """
        return self.value if bucket(key, salt=self.name) < self.percent else default

    def stored(self) -> Stored:
        """
        Return the knob as a document, without `_id`.
        """
        return {
            "format": CONTROL.written,
            "name": self.name,
            "value": self.value,
            "percent": self.percent,
            "epoch": self.epoch,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """
    A change of one control record that the fleet's record holds until it is carried out.
    """

    epoch: int
    #: Which record is replaced; None where only the fleet's own changes.
    id: str | None
    document: Mapping[str, Any] | None
    entry: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ControlView:
    """
    All control records, with a change that is being carried out taken for done.
    """

    #: Grows with every change; -1 before the first record.
    epoch: int = -1
    #: How often nodes have joined.
    joins: int = 0
    freeze: Freeze | None = None
    readers: tuple[DeclaredReader, ...] = ()
    controls: Mapping[str, ControlState] = field(default_factory=dict)
    knobs: Mapping[str, Knob] = field(default_factory=dict)
    #: The recorded floor of each kind that has one, with its fence; see `floor_of`.
    floors: Mapping[str, FloorState] = field(default_factory=dict)
    pending: Change | None = None
    #: The collection in which the records were when docstore last looked; None where no release has noted it.
    home: uuid.UUID | None = None

    @property
    def open_rollouts(self) -> tuple[str, ...]:
        """
        The kinds whose rollout is open.
        """
        return tuple(kind for kind, control in sorted(self.controls.items()) if control.state in OPEN)

    def floor_of(self, kind: str) -> FloorState:
        """
        Return what is recorded of a kind's floor; where nothing is, a state that says nothing.
        """
        return self.floors.get(kind) or FloorState(kind, -1)

    @classmethod
    def of(cls, documents: Mapping[str, Mapping[str, Any]]) -> "ControlView":
        """
        Return what records say, given by their `_id`.

        Raises:
            RecordFormatError: One has a format that this release does not know.
        """
        fleet = documents.get(FLEET)
        if fleet is None:
            return cls()
        CONTROL.check(FLEET, fleet)
        pending = fleet["pending"]
        change = None if pending is None else Change(**known_fields(Change, pending))
        merged = dict(documents)
        if change is not None and change.id is not None and change.document is not None:
            done = documents.get(change.id)
            if done is None or done["epoch"] < change.epoch:
                # Fields that whoever made the change does not know stay as they are.
                merged[change.id] = {**(done or {}), **change.document}
        controls, knobs, floors = {}, {}, {}
        for record, document in merged.items():
            if record.startswith(KIND_PREFIX):
                CONTROL.check(record, document)
                control = ControlState.of(document)
                controls[control.kind] = control
            elif record.startswith(KNOB_PREFIX):
                CONTROL.check(record, document)
                knob = Knob(document["name"], document["value"], document["percent"], document["epoch"])
                knobs[knob.name] = knob
            elif record.startswith(FLOOR_PREFIX):
                CONTROL.check(record, document)
                floor = FloorState.of(document)
                floors[floor.kind] = floor
        return cls(
            epoch=fleet["epoch"],
            joins=fleet["joins"],
            freeze=None if fleet["freeze"] is None else Freeze(**known_fields(Freeze, fleet["freeze"])),
            readers=tuple(_reader(reader) for reader in fleet["readers"]),
            controls=controls,
            knobs=knobs,
            floors=floors,
            pending=change,
            home=_uuid(fleet.get("home")),
        )


def reader_record(reader: DeclaredReader) -> Stored:
    """
    Return a declared reader as the fleet's record keeps it, without the time.
    """
    return {
        "service": reader.service,
        "kind": reader.kind,
        "low": reader.reads.low,
        "high": reader.reads.high,
        "by": reader.by,
        "at": reader.at,
        "writes": reader.writes,
    }


def _reader(stored: Mapping[str, Any]) -> DeclaredReader:
    reads = VersionRange(stored["low"], stored["high"])
    # The release before this one does not ask what a reader stores.
    return DeclaredReader(stored["service"], stored["kind"], reads, stored["by"], stored["at"], stored.get("writes"))


def _uuid(stored: Binary | uuid.UUID | None) -> uuid.UUID | None:
    return stored.as_uuid(UuidRepresentation.STANDARD) if isinstance(stored, Binary) else stored
