"""
Expand: one list `names` for what readers had to look for in two fields, `name` and `alternatenames`.

This is the first half of a change that takes two versions. The old fields stay beside the new one, so that code which
reads them goes on working while readers move to `names`; version 6 is the second half and removes the old list.

GeoNames writes "no other name" as a list of one empty text, and so it does in 42,984 rows. That is kept, as data:
what a name may be is not this step's business, and the search keys of version 5 leave it out.

    before  {name: "Vila", alternatenames: ["Casas Vila", "Vila"], …}
    after   {name: "Vila", alternatenames: ["Casas Vila", "Vila"], names: ["Vila", "Casas Vila"], …}
"""

from docstore import Step
from docstore import operations as ops

step = Step(
    ops.ConcatLists("names", "name", "alternatenames", unique=True, keep=True),
    summary="expand: merge name and alternatenames into names",
)
