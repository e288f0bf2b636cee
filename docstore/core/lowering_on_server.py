"""
Going down without loss inside the server: the condition under which a row comes up again with all that it held (P11).
"""

from typing import Any, Final

from docstore.core.chain import CompiledChain
from docstore.core.expressions import Expression, Literal, Ref, both, is_type, render
from docstore.core.kind import Kind
from docstore.core.operation import Program
from docstore.core.paths import FieldPath, dotted
from docstore.core.program import MAX_DEPTH, conditions, depth
from docstore.core.version import TAG_TYPES
from docstore.errors import NotCompilableError

#: How many containers deep the types of values are compared below a path that a step writes; what is deeper is left to
#: Python.
_DEPTH: Final = 4


def compile_down(kind: Kind[Any], source: int, to: int) -> CompiledChain:
    """
    Return the way down from *source* to *to* as the server runs it, for rows that lose nothing on it.

    Its condition also asks whether the steps' way up gives back every value, with its type: a row for which the server
    cannot be sure of that is declined, and Python decides.

    Raises:
        NotCompilableError: A step on the way cannot run on the server.
        NotInvertibleError: A step on the way has no way back.
    """
    chain = kind.compile(source, to=to)
    steps = kind.chain.between(to, source)
    down = [program for step in reversed(steps) for program in step.inverse_programs]
    up = [program for step in steps for program in step.programs]
    # The order of these is that in which the steps write, the same in every process.
    written = list(dict.fromkeys(path for step in steps for path in sorted(step.writes or ())))
    tag = render(is_type(Ref((kind.version_field,)), *TAG_TYPES))
    condition = both([tag, conditions([*down, *up, _nothing_lost(written)])])
    deepest = depth(condition)
    if deepest > MAX_DEPTH:
        raise NotCompilableError(
            operation=f"the way from {source} down to {to} of {kind.name}",
            reason=f"it nests {deepest} levels deep, and servers take {MAX_DEPTH}; go there in two runs",
        )
    return CompiledChain(source=source, target=to, pipeline=chain.pipeline, condition=condition)


def _nothing_lost(written: list[FieldPath]) -> Program:
    """
    Build a program that does nothing, and asks whether the row at hand holds what the stored row does.

    Equality is of values: 1 equals 1.0. So the types of what steps write are compared too; nothing else can change.
    """
    heads = dict.fromkeys(path[:1] for path in written)
    same: list[Expression] = [{"$eq": [Ref(head), _stored(head)]} for head in heads]
    # All values at once: an expression for each would take the server longer to read than to evaluate.
    now, before = [Ref(path) for path in written], [_stored(path) for path in written]
    same.append({"$eq": [_types_of_all(now, "now"), _types_of_all(before, "before")]})
    return Program(requires=tuple(same), actions=())


def _stored(path: FieldPath) -> Expression:
    # No reference: it is the stored row that is meant, wherever the condition stands.
    return f"$$ROOT.{dotted(path)}"


def _types_of_all(values: list[Expression], side: str) -> Expression:
    return {"$map": {"input": values, "as": "dsValue", "in": _types("$$dsValue", side)}}


def _types(value: Expression, side: str, level: int = _DEPTH) -> Expression:
    """
    Build what tells apart values that the server calls equal: the types of a value and of all that it contains.
    """
    if not level:
        deeper = {"$in": [{"$type": value}, ["array", "object"]]}
        # Something else on either side, so that the two are never equal.
        return {"$cond": [deeper, Literal(f"too deep {side}"), _type(value, side)]}
    item = f"dsItem{level}"
    fields = {"$map": {"input": {"$objectToArray": value}, "as": item, "in": f"$${item}.v"}}
    contained = {
        "$switch": {
            "branches": [
                {"case": is_type(value, "array"), "then": value},
                {"case": is_type(value, "object"), "then": fields},
            ],
            "default": None,
        }
    }
    held = f"dsHeld{level}"
    each = {"$map": {"input": f"$${held}", "as": item, "in": _types(f"$${item}", side, level - 1)}}
    return {
        "$let": {"vars": {held: contained}, "in": {"$cond": [{"$eq": [f"$${held}", None]}, _type(value, side), each]}},
    }


def _type(value: Expression, side: str) -> Expression:
    """
    Build the type of a value; of numbers also how they are written, since 0.0 equals -0.0, and 1.0 equals 1.00.

    There are many values that are no number, all of them equal and written alike: they are left to Python.
    """
    number = {"$in": [{"$type": value}, ["double", "decimal"]]}
    written = {"$toString": value}
    told = {"$cond": [{"$eq": [written, "NaN"]}, Literal(f"no number {side}"), [{"$type": value}, written]]}
    return {"$cond": [number, told, {"$type": value}]}
