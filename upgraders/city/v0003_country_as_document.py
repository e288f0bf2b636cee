"""
Keep the country and its division together: a division's code means nothing without the country's.

Services passed the two around as a pair, and some forgot one. A sub-document is one value. No value changes.

    before  {countrycode: "AD", admin1code: "03", …}
    after   {country: {code: "AD", admin1: "03"}, …}
"""

from docstore import Step
from docstore import operations as ops

step = Step(
    ops.NestFields({"countrycode": "code", "admin1code": "admin1"}, into="country"),
    summary="countrycode and admin1code nest into country",
)
