"""
The floor that is recorded for a kind, with its proof, the fence in front of it, and a retirement that has been begun.

The record stands beside the kind's control state in `docstore_control`, as `floor:<kind>`, and is changed as that is:
by a change of the control records, which is void if a node joined or an operator was quicker.
"""

import datetime
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import bson
from bson.binary import Binary, UuidRepresentation

from docstore.core.bson_values import CODEC
from docstore.core.record_format import CONTROL, known_fields
from docstore.core.write_version import Stored

#: What the `_id` of a floor's record begins with.
FLOOR_PREFIX: Final = "floor:"


@dataclass(frozen=True, slots=True)
class Validation:
    """
    How a collection's rows are validated, as the server has it: all of it, a fence within it included.
    """

    #: None where there is no validator.
    validator: Mapping[str, Any] | None = None
    #: "off", "strict" or "moderate".
    level: str = "strict"
    #: "error" or "warn".
    action: str = "error"

    def stored(self) -> Stored:
        """
        Return it as a document; the validator is kept as BSON, because its names begin with dollars.
        """
        kept = None if self.validator is None else Binary(bson.encode(self.validator, codec_options=CODEC))
        return {"validator": kept, "level": self.level, "action": self.action}

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> "Validation | None":
        """
        Return what a document says; None if there is none.
        """
        if stored is None:
            return None
        kept = stored["validator"]
        validator = None if kept is None else bson.decode(bytes(kept), codec_options=CODEC)
        return cls(validator, stored["level"], stored["action"])


@dataclass(frozen=True, slots=True)
class FenceRecord:
    """
    The fence that the collection is to have.
    """

    #: The lowest version that is let in.
    low: int
    #: The highest.
    high: int
    #: "strict" or "moderate".
    level: str
    #: What users had themselves when the fence was raised.
    own: Validation = field(default_factory=Validation)

    def stored(self) -> Stored:
        """
        Return it as a document.
        """
        return {"low": self.low, "high": self.high, "level": self.level, "own": self.own.stored()}

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> "FenceRecord | None":
        """
        Return what a document says; None if there is none.
        """
        if stored is None:
            return None
        return cls(stored["low"], stored["high"], stored["level"], Validation.of(stored["own"]) or Validation())


@dataclass(frozen=True, slots=True)
class Proof:
    """
    Who recorded a floor, when, and what was counted that proved it; times are the server's.
    """

    by: str
    at: datetime.datetime
    #: All rows that were counted, at or above the floor.
    rows: int = 0
    #: The same by version; versions are text, as names of fields are.
    versions: Mapping[str, int] = field(default_factory=dict)
    #: Since when no row had stood below; None where nobody had counted before.
    clear_since: datetime.datetime | None = None
    #: How long that had to be, in seconds.
    soak: float = 0.0
    #: Whether rows below were refused by the server while was counted; a floor without that stays unproved.
    fenced: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class Retiring:
    """
    A retirement that has been begun, and is finished or undone by whoever asks for it.
    """

    #: V: the floor that is to be.
    below: int
    since: datetime.datetime
    by: str
    why: str = ""
    #: How long no row had to stand below V, in seconds.
    soak: float = 0.0
    #: Whether a fence is raised.
    fenced: bool = True
    #: How the collection was validated before; None where no fence is raised.
    before: Validation | None = None
    #: Everything is being put back.
    undoing: bool = False

    def stored(self) -> Stored:
        """
        Return it as a document.
        """
        return {
            "below": self.below,
            "since": self.since,
            "by": self.by,
            "why": self.why,
            "soak": self.soak,
            "fenced": self.fenced,
            "before": None if self.before is None else self.before.stored(),
            "undoing": self.undoing,
        }

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> "Retiring | None":
        """
        Return what a document says; None if there is none.
        """
        if stored is None:
            return None
        return cls(**{**known_fields(cls, stored), "before": Validation.of(stored["before"])})


@dataclass(frozen=True, slots=True)
class FloorState:
    """
    Below which version no row of a kind stands any more, and what sees to it.

    The floor that is recorded is not the `floor` of a `Kind`: that is the lowest version that the code at hand reads.
    """

    kind: str
    #: The fleet's epoch when this state came to be.
    epoch: int
    #: No row stands below it; None as long as nobody has settled one.
    floor: int | None = None
    #: What the floor rests on; None where it was settled on an empty collection, or not at all.
    proof: Proof | None = None
    retiring: Retiring | None = None
    #: None where no fence is wanted.
    fence: FenceRecord | None = None
    #: The rows' collection when the floor or the fence was recorded: another one under its name has other rows.
    home: uuid.UUID | None = None

    @property
    def proved(self) -> bool:
        """
        Whether the server refused rows below the floor when it was recorded.
        """
        return self.proof is not None and self.proof.fenced

    def after(self, epoch: int, **changes: Any) -> "FloorState":
        """
        Return the state of the next epoch, with these fields changed.
        """
        return replace(self, epoch=epoch, **changes)

    def stored(self) -> Stored:
        """
        Return the state as a document, without `_id`.
        """
        proof = self.proof
        return {
            "format": CONTROL.written,
            "kind": self.kind,
            "epoch": self.epoch,
            "floor": self.floor,
            "proof": None if proof is None else {name: _kept(getattr(proof, name)) for name in proof.__slots__},
            "retiring": None if self.retiring is None else self.retiring.stored(),
            "fence": None if self.fence is None else self.fence.stored(),
            "home": None if self.home is None else Binary.from_uuid(self.home),
        }

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "FloorState":
        """
        Return what a document of this format says.
        """
        proof, home = stored["proof"], stored["home"]
        return cls(
            kind=stored["kind"],
            epoch=stored["epoch"],
            floor=stored["floor"],
            proof=None if proof is None else Proof(**known_fields(Proof, proof)),
            retiring=Retiring.of(stored["retiring"]),
            fence=FenceRecord.of(stored["fence"]),
            home=home.as_uuid(UuidRepresentation.STANDARD) if isinstance(home, Binary) else home,
        )


def _kept(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
