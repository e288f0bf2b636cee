"""
Contract: `alternatenames` goes, now that nothing reads or writes it any more.

This is the second half of version 4, in a release of its own, for when every reader and writer uses `names`. A name
that was written into the old list alone, past version 4, would go with it; before this step is released, this counts 0:

    db.cities.countDocuments({schema_version: 5, $expr: {$not: {$setIsSubset: ["$alternatenames", "$names"]}}})

The way back rebuilds the list from `names`, so that version 5 can be rolled back to: every name is there again. What
the merge of version 4 dropped is not: where the old list held the own name, or whether it did (172,868 of 234,908
rows have it somewhere), and a name that stood there twice (18 rows). Going up again gives the same row.

    before  {names: ["Vila", "Casas Vila"], alternatenames: ["Casas Vila", "Vila"], …}
    after   {names: ["Vila", "Casas Vila"], …}
    back    {names: ["Vila", "Casas Vila"], alternatenames: ["Vila", "Casas Vila"], …}
"""

from docstore import Step
from docstore import operations as ops

step = Step(
    ops.RemoveField("alternatenames", restore=ops.CopyField("names", "alternatenames")),
    summary="contract: drop alternatenames",
)
