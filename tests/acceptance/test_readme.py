"""
The README's code does what the README says.
"""

import re
from pathlib import Path
from typing import Any

from docstore import Store

README = Path(__file__).parents[2] / "README.md"


def example() -> dict[str, Any]:
    block = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(block[1], str(README), "exec"), names)  # noqa: S102 - the point of this test
    return names


async def test_readme_example_runs_and_leaves_the_rows_that_it_describes(database: Any) -> None:
    names = example()
    await names["work"](database)
    async with Store(database, kinds=[names["person"]], service="reader") as store:
        ada, alan = await store.collection(names["person"]).find(sort=[("_id", 1)]).to_list()
    assert (ada.full_name, ada.emails) == ("Ada", ["ada@example.org", "countess@example.org"])
    assert (alan.full_name, alan.emails) == ("Alan", ["alan@example.org", "alan@example.com"])
    stored = await database.people.find(sort=[("_id", 1)]).to_list()
    assert [row["schema_version"] for row in stored] == [3, 3]


def test_readme_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8"))
    missing = [link for link in links if not (README.parent / link).exists()]
    assert links
    assert not missing
