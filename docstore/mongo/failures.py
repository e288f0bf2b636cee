"""Turning driver errors into docstore's own, so that none leaks out of this package."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Any, Final

from bson.errors import BSONError
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    InvalidURI,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from docstore.core.fence import fault_of
from docstore.errors import (
    DefinitionError,
    FencedError,
    InvalidUriError,
    StoreError,
    StoreRejectedError,
    StoreTimeoutError,
    StoreUnavailableError,
)

#: Codes that say "not here" or "not now": the same call may succeed later.
LATER: Final = frozenset({6, 7, 24, 43, 50, 89, 91, 112, 133, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
#: Codes that say "not so much at once".
_TOO_LARGE: Final = frozenset({146, 292, 10334, 17280, 17419})
#: Codes that say "never": missing privileges, no such command, a view, a write concern that no members can meet.
_FOR_GOOD: Final = frozenset({13, 18, 20, 59, 72, 73, 79, 100, 115, 166, 8000})
#: Among them: no members could ever meet the write concern, or nobody knows it.
_NEVER_MET: Final = frozenset({79, 100})

#: What the server has no name for, or one that says little.
_SAID: Final = dict.fromkeys((10334, 17419), "a row would be larger than the 16 MB that the server takes")

_TRANSIENT: Final = "TransientTransactionError"
#: DocumentValidationFailure, ConversionFailure, DuplicateKey: their texts or details hold values of the row at fault.
_QUOTING_ROWS: Final = frozenset({121, 241, 11000})
_PASSWORD = re.compile(r"(?P<before>://[^:@/]*:)[^@]*(?=@)")


def without_password(uri: str) -> str:
    """Return a connection string in which the password is replaced by stars."""
    return _PASSWORD.sub(r"\g<before>***", uri)


@contextmanager
def translated() -> Iterator[None]:
    """
    Turn any driver error raised within into `StoreUnavailableError` or `StoreRejectedError`.

    The driver's error is chained unless it quotes rows: the cause of an error is part of every traceback.

    One that ends a transaction becomes `TransactionInterruptedError`, which the driver's `with_transaction` retries.

    Texts of the server can carry document values (a duplicate key does); the new error carries the server's name for
    the code instead.
    """
    try:
        yield
    except PyMongoError as error:
        raise translate(error) from (None if _quotes_rows(error) else error)
    except BSONError as error:
        # What does not go into BSON, or not into one message: found before anything was sent. It quotes the value.
        raise StoreRejectedError(reason=type(error).__name__) from None


def translate(error: PyMongoError) -> StoreError:
    """Return docstore's error for a driver error; no text in it can hold a document's values."""
    if error.has_error_label(_TRANSIENT):
        return TransactionInterruptedError(reason=_name(error))
    if isinstance(error, _NeverMetError):
        return StoreRejectedError(reason="no members can meet the write concern", code=error.code)
    if isinstance(error, ServerSelectionTimeoutError):
        return StoreUnavailableError(reason=_first_sentence(str(error)))
    if isinstance(error, InvalidURI):
        return InvalidUriError(uri="", reason=without_password(str(error)))
    if isinstance(error, ExecutionTimeout):
        return StoreTimeoutError(reason=_name(error))
    if isinstance(error, NetworkTimeout | AutoReconnect | ConnectionFailure | WTimeoutError):
        return StoreUnavailableError(reason=_name(error))
    if isinstance(error, BulkWriteError):
        return _translate_bulk(error)
    if isinstance(error, OperationFailure):
        return _translate_answer(error)
    if isinstance(error, ConfigurationError):
        return StoreRejectedError(reason=without_password(str(error)))
    return StoreRejectedError(reason=type(error).__name__)


def _translate_bulk(error: BulkWriteError) -> StoreError:
    details: Mapping[str, Any] = error.details or {}
    faults = details.get("writeErrors", ())
    codes = [fault.get("code") for fault in faults]
    unmet_codes = [fault.get("code") for fault in details.get("writeConcernErrors", ())]
    for fault in faults:
        if fault.get("code") not in LATER:
            return rejected(fault, reason=_SAID.get(fault.get("code", 0), "a bulk write failed in part"))
    for code in unmet_codes:
        if code in _NEVER_MET:
            return StoreRejectedError(reason="no members can meet the write concern", code=code)
    if codes:
        return StoreUnavailableError(reason=f"the server gave up a write (code {codes[0]})")
    return StoreUnavailableError(reason="the write concern was not met")


def _translate_answer(error: OperationFailure) -> StoreError:
    if isinstance(error, WriteConcernError):
        # The write took effect on the primary, and nobody knows for how long.
        return StoreUnavailableError(reason="the write concern was not met")
    if error.code in LATER:
        return StoreUnavailableError(reason=_name(error))
    return rejected(error.details or {}, reason=_name(error), code=error.code)


def rejected(fault: Mapping[str, Any], *, reason: str, code: int | None = None) -> StoreRejectedError:
    """
    Return the error for a write that the server refused, from what it says of it: `FencedError` if a fence did.

    Args:
        fault: The answer, or one of its `writeErrors`.
        reason: What to say where it was not a fence.
        code: The server's code; that of the fault by default.
    """
    number = fault.get("code") if code is None else code
    fenced = fault_of(fault.get("errInfo")) if number == FencedError.CODE else None
    if fenced is None:
        return StoreRejectedError(reason=reason, code=number)
    bounds = fenced.bounds
    return FencedError(kind=bounds.kind, version=fenced.version, found=fenced.found, low=bounds.low, high=bounds.high)


def unmet(answer: Mapping[str, Any]) -> WriteConcernError | None:
    """
    Return what the driver would raise for an answer whose write concern was not met; None if it was.

    The rows are there, and nobody knows for how long: sent again, they are waited for again.
    """
    fault = answer.get("writeConcernError")
    if fault is None:
        return None
    code = fault.get("code")
    return _NeverMetError("", code) if code in _NEVER_MET else WriteConcernError("", code)


class _NeverMetError(WriteConcernError):
    """
    A write concern that no members can meet, of a write that may be sent again without harm, and in vain.

    Of any other write the driver's own error says that it took effect, and that nobody knows for how long.
    """


class Reaction(Enum):
    """
    What a worker does about an error.
    """

    #: Make the same call again, a little later.
    RETRY = "retry"
    #: Do the same in smaller parts.
    SPLIT = "split"
    #: Leave the row or the range at fault, and go on with the others.
    SKIP = "skip"
    #: Give up: no row could be rewritten.
    FAIL = "fail"


def reaction_to(error: BaseException) -> Reaction:
    """
    Return what to do about an error, whoever raised it; the one place that knows the server's codes.
    """
    if isinstance(error, StoreTimeoutError):
        return Reaction.SPLIT
    if isinstance(error, StoreUnavailableError):
        return Reaction.RETRY
    if isinstance(error, DefinitionError):
        # The code is at fault, so every other row would be too.
        return Reaction.FAIL
    if not isinstance(error, StoreRejectedError):
        return Reaction.SKIP
    if error.code in _TOO_LARGE:
        return Reaction.SPLIT
    if isinstance(error, FencedError):
        # No row is at fault: every other one is to be stored at the same version.
        return Reaction.FAIL
    return Reaction.FAIL if error.code in _FOR_GOOD else Reaction.SKIP


class TransactionInterruptedError(StoreUnavailableError, PyMongoError):
    """
    The transaction at hand cannot go on (most often another writer was quicker); all of it may be tried again.

    The one error of docstore that is a driver error too: the driver's `with_transaction` knows by its class and its
    label that it is to run the callback again.
    """

    def __init__(self, *, reason: str) -> None:
        StoreUnavailableError.__init__(self, reason=reason)
        self._error_labels = {_TRANSIENT}


def _quotes_rows(error: PyMongoError) -> bool:
    return isinstance(error, BulkWriteError) or (isinstance(error, OperationFailure) and error.code in _QUOTING_ROWS)


def _first_sentence(text: str) -> str:
    # The text goes on with timeouts and a dump of the topology, which tell a reader nothing more.
    return without_password(text.split(" (configured timeouts", 1)[0].split(", Timeout:", 1)[0])


def _name(error: PyMongoError) -> str:
    details = error.details if isinstance(error, OperationFailure) else None
    name = _SAID.get((details or {}).get("code", 0)) or (details or {}).get("codeName")
    return str(name) if name else type(error).__name__
