"""
One atomic update of a run's record.
"""

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from docstore.core.record_format import RUN
from docstore.core.run_record import RunRecord, Stored
from docstore.mongo.driver import AnyCollection
from docstore.mongo.failures import translated
from docstore.mongo.own_records import NOW


class RunOpenError(Exception):
    """
    The kind has another open run; a signal between this package and its callers, who name the kind.
    """


async def update_run(runs: AnyCollection, only: Stored, fields: Stored) -> RunRecord | None:
    """
    Set fields of the run that *only* describes, and return it as it is then; None if there is none.

    Args:
        runs: The records.
        only: What has to hold of the run.
        fields: Expressions, which see the run as it was.

    Raises:
        RunOpenError: The run would be open, and the kind has another open one.
    """
    with translated():
        try:
            changed = await runs.find_one_and_update(
                {**only, **RUN.known}, [{"$set": fields}, {"$set": {"now": NOW}}], return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError as error:
            raise RunOpenError from error
    return None if changed is None else RunRecord.of(changed)
