"""
How the tests of single operations say what they expect.
"""

from typing import Any

import pytest

from docstore.core.bson_values import RawDocument, decode, encode
from docstore.core.operation import Operation
from docstore.errors import InvalidOperationError, OperationRefusedError


def gives(operation: Operation, before: RawDocument, after: RawDocument) -> None:
    """
    Check the result byte for byte: types and the order of fields count.
    """
    assert encode(operation.apply(before)) == encode(after)


def leaves(operation: Operation, row: RawDocument) -> None:
    """
    Check that nothing happens.
    """
    gives(operation, row, row)


def refuses(operation: Operation, row: RawDocument, path: str, found: str, expected: str) -> None:
    """
    Check that the row is refused, and what the error says.
    """
    with pytest.raises(OperationRefusedError) as caught:
        operation.apply(row)
    error = caught.value
    assert (error.operation, error.path, error.found, error.expected) == (
        type(operation).__name__,
        path,
        found,
        expected,
    )


def comes_back(operation: Operation, row: RawDocument) -> None:
    """
    Check that the inverse gives the row back, with its fields in any order.
    """
    back = operation.invert().apply(operation.apply(row))
    assert encode(_sorted(decode(encode(back)))) == encode(_sorted(decode(encode(row))))


def invalid(make: Any, reason: str) -> None:
    """
    Check that an operation cannot be made, and why.
    """
    with pytest.raises(InvalidOperationError, match=reason):
        make()


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
