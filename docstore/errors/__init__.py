"""
Every error that docstore raises on purpose, as one tree.

Three branches mean three reactions: fix the code, put the row aside, look at the database.

    DocstoreError
    ├── DefinitionError                 the kinds or their steps are wrong; found before any row is read
    │   ├── KindDefinitionError         all faults of one kind at once, as an exception group
    │   ├── VersionGapError
    │   ├── DuplicateStepError
    │   ├── StepFileError
    │   ├── StepContentError
    │   ├── InvalidFieldPathError
    │   ├── InvalidOperationError
    │   ├── NotInvertibleError
    │   ├── NotCompilableError
    │   ├── NotPublishableError
    │   ├── PathsDifferError            the one that shows only when rows are compared
    │   ├── CollectionSharedError
    │   ├── ModelFieldError
    │   ├── KindModuleError
    │   ├── RetiredStepsMissingError
    │   ├── UpgradersNotFoundError
    │   └── UnknownKindError
    ├── DocumentError                   one row is at fault: it is put aside, everything else goes on
    │   ├── NewerVersionError
    │   ├── RetiredVersionError
    │   ├── UnknownVersionError
    │   ├── OperationRefusedError
    │   ├── UpgradeFailedError
    │   │   └── DowngradeFailedError
    │   │       └── NotExpressibleError
    │   ├── InvalidDocumentError
    │   ├── WorkerDiedError             no worker that took it lived to say why
    │   └── UnstorableValueError
    ├── StoreError                      the database, or what was asked of it
    │   ├── StoreUnavailableError
    │   │   └── StoreTimeoutError
    │   ├── StoreRejectedError
    │   │   └── FencedError             the version that was to be stored lies outside the fence
    │   ├── InvalidUriError
    │   ├── DocumentNotFoundError
    │   ├── NotQuarantinedError
    │   ├── DocumentExistsError
    │   ├── ConflictError
    │   ├── UnguardedReplaceError
    │   ├── BulkFailedError                 some of a list of writes failed
    │   ├── UpdateRefusedError
    │   ├── QueryRefusedError
    │   ├── CursorBrokenError
    │   └── StaleQueryError
    ├── FleetError                      what runs together, and what may be stored
    │   ├── NodeRefusedError
    │   │   ├── FleetSkewError
    │   │   └── FloorMismatchError
    │   ├── StaleNodeError
    │   ├── StoreClosedError
    │   ├── WriteVersionUnwritableError
    │   ├── RolloutRefusedError
    │   │   └── RetirementRefusedError
    │   ├── ReaderRefusedError
    │   ├── NotInFleetError
    │   ├── AbortRuleError
    │   └── RecordFormatError
    ├── VersionRangeError               a version was asked for that the kind does not have
    ├── BackfillRefusedError
    ├── BackfillInterruptedError
    ├── ViewRefusedError
    ├── FenceRefusedError
    ├── DrillRefusedError
    ├── DrillBrokenError                a drill that did not get to its end has shown nothing
    ├── IllegalTransitionError          a run or a rollout cannot do that in its state
    ├── RunNotFoundError
    └── EmbeddedServerError

Every constructor takes facts by keyword, keeps them as attributes, and builds the sentence from them. No error
carries the value of a document's field: ids, kinds, paths, versions and type names only. What to do next stands in
the error's notes. All of them survive pickling.
"""

from docstore.errors.base import (
    DocstoreError,
)
from docstore.errors.definition import (
    CollectionSharedError,
    DefinitionError,
    DuplicateStepError,
    InvalidFieldPathError,
    InvalidOperationError,
    KindDefinitionError,
    KindModuleError,
    ModelFieldError,
    NotCompilableError,
    NotInvertibleError,
    NotPublishableError,
    PathsDifferError,
    RetiredStepsMissingError,
    StepContentError,
    StepFileError,
    UnknownKindError,
    UpgradersNotFoundError,
    VersionGapError,
)
from docstore.errors.document import (
    DocumentError,
    DowngradeFailedError,
    InvalidDocumentError,
    NewerVersionError,
    NotExpressibleError,
    OperationRefusedError,
    RetiredVersionError,
    UnknownVersionError,
    UnstorableValueError,
    UpgradeFailedError,
    WorkerDiedError,
)
from docstore.errors.fleet import (
    AbortRuleError,
    FleetError,
    FleetSkewError,
    FloorMismatchError,
    NodeRefusedError,
    NotInFleetError,
    ReaderRefusedError,
    RecordFormatError,
    RetirementRefusedError,
    RolloutRefusedError,
    StaleNodeError,
    StoreClosedError,
    WriteVersionUnwritableError,
)
from docstore.errors.other import (
    BackfillInterruptedError,
    BackfillRefusedError,
    DrillBrokenError,
    DrillRefusedError,
    EmbeddedServerError,
    FenceRefusedError,
    IllegalTransitionError,
    RunNotFoundError,
    VersionRangeError,
    ViewRefusedError,
)
from docstore.errors.store import (
    BulkFailedError,
    ConflictError,
    CursorBrokenError,
    DocumentExistsError,
    DocumentNotFoundError,
    FencedError,
    InvalidUriError,
    NotQuarantinedError,
    QueryRefusedError,
    StaleQueryError,
    StoreError,
    StoreRejectedError,
    StoreTimeoutError,
    StoreUnavailableError,
    UnguardedReplaceError,
    UpdateRefusedError,
)

__all__ = [
    "AbortRuleError",
    "BackfillInterruptedError",
    "BackfillRefusedError",
    "BulkFailedError",
    "CollectionSharedError",
    "ConflictError",
    "CursorBrokenError",
    "DefinitionError",
    "DocstoreError",
    "DocumentError",
    "DocumentExistsError",
    "DocumentNotFoundError",
    "DowngradeFailedError",
    "DrillBrokenError",
    "DrillRefusedError",
    "DuplicateStepError",
    "EmbeddedServerError",
    "FenceRefusedError",
    "FencedError",
    "FleetError",
    "FleetSkewError",
    "FloorMismatchError",
    "IllegalTransitionError",
    "InvalidDocumentError",
    "InvalidFieldPathError",
    "InvalidOperationError",
    "InvalidUriError",
    "KindDefinitionError",
    "KindModuleError",
    "ModelFieldError",
    "NewerVersionError",
    "NodeRefusedError",
    "NotCompilableError",
    "NotExpressibleError",
    "NotInFleetError",
    "NotInvertibleError",
    "NotPublishableError",
    "NotQuarantinedError",
    "OperationRefusedError",
    "PathsDifferError",
    "QueryRefusedError",
    "ReaderRefusedError",
    "RecordFormatError",
    "RetiredStepsMissingError",
    "RetiredVersionError",
    "RetirementRefusedError",
    "RolloutRefusedError",
    "RunNotFoundError",
    "StaleNodeError",
    "StaleQueryError",
    "StepContentError",
    "StepFileError",
    "StoreClosedError",
    "StoreError",
    "StoreRejectedError",
    "StoreTimeoutError",
    "StoreUnavailableError",
    "UnguardedReplaceError",
    "UnknownKindError",
    "UnknownVersionError",
    "UnstorableValueError",
    "UpdateRefusedError",
    "UpgradeFailedError",
    "UpgradersNotFoundError",
    "VersionGapError",
    "VersionRangeError",
    "ViewRefusedError",
    "WorkerDiedError",
    "WriteVersionUnwritableError",
]
