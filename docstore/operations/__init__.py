"""
The operations of which declarative steps are made: one per file, each with its way back and its form for the server.

    from docstore import operations as ops
"""

from docstore.operations.add_field import AddField
from docstore.operations.compute import Compute
from docstore.operations.concat_lists import ConcatLists
from docstore.operations.nest_fields import NestFields
from docstore.operations.pack_list import PackList
from docstore.operations.remove_field import RemoveField
from docstore.operations.rename_field import RenameField
from docstore.operations.unnest_fields import UnnestFields
from docstore.operations.unpack_list import UnpackList

__all__ = [
    "AddField",
    "Compute",
    "ConcatLists",
    "NestFields",
    "PackList",
    "RemoveField",
    "RenameField",
    "UnnestFields",
    "UnpackList",
]
