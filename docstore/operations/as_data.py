"""
Operations as data: what a database can keep of one, and the operation that is made of it again.

One rule for all of them: every argument of an operation's constructor is an attribute of the same name, so that the
arguments are the whole definition. An argument is data if it is a value that rows can hold, a list of paths or of
pairs, a type of `ConvertType`, a `Value`, or an operation itself. What holds Python (a function, a class of somebody's
own) is none.
"""

from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any, Final

import bson.errors
from bson.binary import Binary

from docstore import operations
from docstore.core.bson_values import decode, encode
from docstore.core.operation import Operation
from docstore.core.paths import MISSING
from docstore.errors import DefinitionError, NotPublishableError
from docstore.operations.conversions import CONVERSIONS
from docstore.operations.value import Value

#: The operations that every release of docstore can name.
_KNOWN: Final[Mapping[str, type[Operation]]] = {
    name: found
    for name in operations.__all__
    if isinstance(found := getattr(operations, name), type) and found is not Value
}
_TYPES: Final = {kind.__name__: kind for kind in CONVERSIONS}
#: Values that come out of any record as they went in. The others are kept as bytes: a record's dates have a time zone,
#: and a server takes names in it that begin with `$` for something else.
_PLAIN: Final = frozenset({str, bool, int, float, type(None)})
_INT32: Final = 2**31


def operation_data(operation: Operation) -> dict[str, Any]:
    """
    Return an operation as data.

    Raises:
        NotPublishableError: It holds Python, or is none of docstore's own; carries the operation and the argument.
    """
    name = type(operation).__name__
    if _KNOWN.get(name) is not type(operation):
        raise NotPublishableError(operation=name, reason="it is none of docstore's own operations")
    arguments: dict[str, Any] = {}
    for parameter in signature(type(operation)).parameters:
        value = getattr(operation, parameter)
        if value is not MISSING:
            arguments[parameter] = _argument_data(value, name, parameter)
    return {"operation": name, "arguments": arguments}


def operation_of(data: Mapping[str, Any]) -> Operation:
    """
    Return the operation that was kept as data.

    Raises:
        NotPublishableError: This release does not know it, or not with these arguments; carries the operation.
    """
    name = str(data.get("operation"))
    cls, given = _KNOWN.get(name), data.get("arguments")
    if cls is None or not isinstance(given, Mapping):
        raise NotPublishableError(operation=name, reason="this release of docstore does not know it")
    parameters = signature(cls).parameters
    unknown = sorted(set(given) - set(parameters))
    if unknown:
        raise NotPublishableError(operation=name, reason="this release does not know it with that", argument=unknown[0])
    positional: list[Any] = []
    named: dict[str, Any] = {}
    try:
        for parameter, about in parameters.items():
            if parameter not in given:
                continue
            value = _argument_of(given[parameter])
            if about.kind is Parameter.VAR_POSITIONAL:
                positional += value
            elif about.kind is Parameter.KEYWORD_ONLY:
                named[parameter] = value
            else:
                positional.append(value)
        return cls(*positional, **named)
    except NotPublishableError:
        raise
    except (DefinitionError, bson.errors.BSONError, KeyError, TypeError, ValueError) as error:
        # The cause would show the argument.
        reason = f"this release does not take its arguments: {type(error).__name__}"
        raise NotPublishableError(operation=name, reason=reason) from None


def _argument_data(value: Any, operation: str, argument: str) -> Any:
    if type(value) is tuple:
        return {"list": [_argument_data(item, operation, argument) for item in value]}
    if type(value) is Value:
        return {"value": _argument_data(value.value, operation, argument)}
    if isinstance(value, type):
        if _TYPES.get(value.__name__) is value:
            return {"type": value.__name__}
        raise NotPublishableError(operation=operation, argument=argument, reason="it holds a class")
    if isinstance(value, Operation):
        return operation_data(value)
    if callable(value):
        raise NotPublishableError(operation=operation, argument=argument, reason="it holds a Python function")
    if type(value) in _PLAIN and not (type(value) is int and not -_INT32 <= value < _INT32):
        return value
    try:
        return {"bson": Binary(encode({"": value}))}
    except (bson.errors.BSONError, OverflowError, TypeError, ValueError) as error:
        raise NotPublishableError(
            operation=operation, argument=argument, reason=f"it holds a {type(value).__name__}"
        ) from error


def _argument_of(data: Any) -> Any:
    if not isinstance(data, Mapping):
        if type(data) not in _PLAIN:
            msg = f"{type(data).__name__} is no argument"
            raise TypeError(msg)
        return data
    if "operation" in data:
        return operation_of(data)
    ((form, held),) = data.items()
    if form == "list":
        return tuple(_argument_of(item) for item in held)
    if form == "value":
        return Value(_argument_of(held))
    if form == "type":
        return _TYPES[held]
    if form == "bson":
        return decode(held)[""]
    msg = "an argument of an unknown form"
    raise ValueError(msg)
