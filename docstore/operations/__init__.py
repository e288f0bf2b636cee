"""
The operations of which declarative steps are made: one per file, each with its way back and its form for the server.

    from docstore import operations as ops

Rules that all of them share, in Python and on the server:

- A path goes through documents only; `ForEach` is the way into lists. An array or a scalar on the way is refused.
- Under a missing or a null parent, reads find nothing. Writes create missing parents, and only where there is a value
  to write; under a null parent a default is not added, and a value that must not be lost is refused.
- A missing field is left alone. Null is a value: it is moved, copied, wrapped and mapped like any other. What looks
  into a value (`ConvertType`, `SplitText`, `UnwrapList`, `UnpackList`, `UnnestFields`, `ForEach`) leaves null alone.
- A field that is there is never overwritten by a value from elsewhere: the row is refused.
- New fields go to the end, changed fields keep their place.
- Values are equal where the server's `$eq` says so, with simple collation: 1, 1.0 and Int64(1) are, 1 and True are not.
- A refused row raises `OperationRefusedError`, and the chain puts it aside; nothing is guessed.

`docs/operations.md` explains them with examples.
"""

from docstore.operations.add_field import AddField
from docstore.operations.compute import Compute
from docstore.operations.concat_lists import ConcatLists
from docstore.operations.convert_type import ConvertType
from docstore.operations.copy_field import CopyField
from docstore.operations.for_each import ForEach
from docstore.operations.join_text import JoinText
from docstore.operations.map_values import MapValues
from docstore.operations.nest_fields import NestFields
from docstore.operations.pack_list import PackList
from docstore.operations.remove_field import RemoveField
from docstore.operations.rename_field import RenameField
from docstore.operations.split_text import SplitText
from docstore.operations.unnest_fields import UnnestFields
from docstore.operations.unpack_list import UnpackList
from docstore.operations.unwrap_list import UnwrapList
from docstore.operations.value import Value
from docstore.operations.wrap_in_list import WrapInList

__all__ = [
    "AddField",
    "Compute",
    "ConcatLists",
    "ConvertType",
    "CopyField",
    "ForEach",
    "JoinText",
    "MapValues",
    "NestFields",
    "PackList",
    "RemoveField",
    "RenameField",
    "SplitText",
    "UnnestFields",
    "UnpackList",
    "UnwrapList",
    "Value",
    "WrapInList",
]
