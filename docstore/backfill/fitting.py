"""
Whether a row at latest fits the model. Pure.
"""

from typing import Any

from docstore.core.bson_values import RawDocument, copied
from docstore.core.kind import Kind
from docstore.core.residue import RESIDUE
from docstore.core.row_faults import refused
from docstore.errors import InvalidDocumentError


def misfit(kind: Kind[Any], row: RawDocument, *, version: int | None = None) -> InvalidDocumentError | None:
    """
    Return why a row does not fit the model, or None if it does; the row stays as it is.

    Args:
        kind: Whose row.
        row: The row at latest.
        version: Where it is stored, for the error.
    """
    # Validators are the user's, and may change what they are given.
    plain = {name: value for name, value in copied(row).items() if name not in {kind.version_field, RESIDUE}}
    try:
        kind.model.__pydantic_validator__.validate_python(plain)
    except Exception as error:  # noqa: BLE001 - whatever a validator raises, the row does not fit
        return refused(error, kind=kind, row=row, version=version or kind.baseline)
    return None
