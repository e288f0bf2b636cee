"""
Every operation, with documents made for it.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final

from docstore.core.operation import Operation
from docstore.errors import DefinitionError
from tests.operations.case import Case
from tests.operations.cases import (
    add_field,
    compute,
    concat_lists,
    convert_type,
    copy_field,
    for_each,
    join_text,
    map_values,
    nest_fields,
    pack_list,
    remove_field,
    rename_field,
    split_text,
    unnest_fields,
    unpack_list,
    unwrap_list,
    wrap_in_list,
)

_MODULES: Final[tuple[Any, ...]] = (
    add_field,
    compute,
    concat_lists,
    convert_type,
    copy_field,
    for_each,
    join_text,
    map_values,
    nest_fields,
    pack_list,
    remove_field,
    rename_field,
    split_text,
    unnest_fields,
    unpack_list,
    unwrap_list,
    wrap_in_list,
)

#: From the name of an operation to its cases.
CASES: Final[dict[str, tuple[Case, ...]]] = {module.CASES[0].name: module.CASES for module in _MODULES}

#: Makes an operation on some of the paths.
Arbitrary = Callable[[Random, list[str]], Operation]


def arbitrary_operation(random: Random, paths: list[str], *, depth: int = 2) -> Operation:
    """
    Return any operation on some of the paths; `ForEach` only while *depth* allows it.
    """
    modules = [module for module in _MODULES if depth > 1 or module is not for_each]
    while True:
        make: Arbitrary = random.choice(modules).arbitrary
        try:
            return make(random, paths)
        except DefinitionError:
            # Overlapping paths, for example: the next throw may do better.
            continue
