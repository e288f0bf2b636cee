"""
Reading an aggregation expression that a user wrote, so that it can be placed anywhere.

Field paths become `Ref`, literals become `Literal`, and what would make a pipeline depend on more than the document
(the clock, chance) is refused.
"""

from collections.abc import Mapping
from typing import Any, Final

from docstore.core.expressions import Expression, Literal, Ref

#: Operators whose answer depends on more than the document, or on code outside the pipeline.
_IMPURE: Final = frozenset({"$rand", "$sampleRate", "$function", "$accumulator"})
_CONSTANT_VARIABLES: Final = frozenset({"REMOVE"})
_DOCUMENT_VARIABLES: Final = frozenset({"ROOT", "CURRENT"})
#: docstore's own variables begin like this.
_RESERVED: Final = "ds"


def parse_expression(expression: Any) -> Expression:
    """
    Return a raw aggregation expression with its field references and literals told apart.

    `"$a.b"`, `"$$ROOT.a.b"` and `"$$CURRENT.a.b"` are the field `a.b` of the document at hand, and `"$$ROOT"` is the
    document. Variables are those that the expression itself binds (`$let`, `$map`, `$filter`, `$reduce`) and
    `$$REMOVE`.

    Raises:
        ValueError: It reads the clock or chance, runs code, names an unknown variable, or binds a reserved one.
    """
    return _parsed(expression, _CONSTANT_VARIABLES)


def as_value(expression: Expression) -> Expression:
    """
    Return an expression that `$set` cannot take for a document of paths, which it would merge into what is there.
    """
    if not isinstance(expression, Mapping) or next(iter(expression), "").startswith("$"):
        return expression
    return {"$mergeObjects": [expression]} if expression else Literal({})


def _parsed(value: Any, bound: frozenset[str]) -> Expression:
    if isinstance(value, str):
        return _parsed_text(value, bound)
    if isinstance(value, list | tuple):
        return [_parsed(item, bound) for item in value]
    if not isinstance(value, Mapping):
        return value
    operator = next(iter(value), None)
    if len(value) == 1 and isinstance(operator, str) and operator.startswith("$"):
        return _parsed_operator(operator, value[operator], bound)
    return {key: _parsed(item, bound) for key, item in value.items()}


def _parsed_text(text: str, bound: frozenset[str]) -> Expression:
    if not text.startswith("$"):
        return text
    if not text.startswith("$$"):
        return Ref(tuple(text[1:].split(".")))
    name, _, rest = text[2:].partition(".")
    if name in _DOCUMENT_VARIABLES:
        return Ref(tuple(rest.split(".")) if rest else ())
    if name not in bound:
        msg = f"it reads the variable $${name}, which it does not bind"
        raise ValueError(msg)
    return text


def _parsed_operator(operator: str, argument: Any, bound: frozenset[str]) -> Expression:
    if operator in _IMPURE:
        msg = f"{operator} does not give the same answer every time, or runs code"
        raise ValueError(msg)
    if operator == "$literal":
        return Literal(argument)
    if operator == "$getField":
        # Without an input it reads the stored row, which is not always the document at hand.
        given = argument if isinstance(argument, Mapping) and "field" in argument else {"field": argument}
        return {operator: {"input": Ref(()), **{key: _parsed(item, bound) for key, item in given.items()}}}
    if not isinstance(argument, Mapping):
        return {operator: _parsed(argument, bound)}
    if operator == "$let" and isinstance(argument.get("vars"), Mapping):
        inner = bound | _bindable(*argument["vars"])
        variables = {name: _parsed(item, bound) for name, item in argument["vars"].items()}
        return {operator: {**argument, "vars": variables, "in": _parsed(argument.get("in"), inner)}}
    inner = bound | _own_variables(operator, argument)
    outer_keys = {"input", "initialValue", "limit"}
    return {
        operator: {
            key: item if key == "as" else _parsed(item, bound if key in outer_keys else inner)
            for key, item in argument.items()
        }
    }


def _own_variables(operator: str, argument: Mapping[str, Any]) -> frozenset[str]:
    if operator in {"$map", "$filter"}:
        return _bindable(argument.get("as", "this"))
    return frozenset({"this", "value"}) if operator == "$reduce" else frozenset()


def _bindable(*names: str) -> frozenset[str]:
    for name in names:
        if name.startswith(_RESERVED) or name in _DOCUMENT_VARIABLES:
            msg = f"it binds the variable {name!r}, which is reserved"
            raise ValueError(msg)
    return frozenset(names)
