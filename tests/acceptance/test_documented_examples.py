"""
What docs/views.md, docs/change-streams.md and docs/old-clients.md show is what happens.
"""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from docstore import Document, Kind, Step, Store, version_token
from docstore import operations as ops
from docstore.commands import views_sync

DOCS = Path(__file__).parents[2] / "docs"


class Person(Document):
    full_name: str
    born: int | None = None
    emails: list[str] = Field(default_factory=list)


person = Kind(
    "person",
    collection="people",
    model=Person,
    steps=[Step(ops.RenameField("name", "full_name"), to=2), Step(ops.AddField("emails", []), to=3)],
)


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("page", ["views.md", "change-streams.md", "old-clients.md"])
async def test_the_examples_of_a_page_run(page: str, database: Any) -> None:
    await database["people"].insert_one({"_id": 1, "schema_version": 1, "name": "Ada", "born": 1815})
    await views_sync(database, person, versions=[2])
    examples = blocks(page, "python")
    assert examples
    async with Store(database, kinds=[person], service="docs", fleet=False) as store:
        names = {
            "database": database,
            "people": store.collection(person),
            "Person": Person,
            "version_token": version_token,
        }
        body = textwrap.indent("\n".join(examples), "    ")
        exec(compile(f"async def example():\n{body}", page, "exec"), names)  # noqa: S102 - the point of this test
        await names["example"]()


async def test_the_views_of_the_example_are_those_that_are_shown(database: Any) -> None:
    [shown] = blocks("views.md", "text")
    for report in await views_sync(database, person, versions=[2]):
        assert re.search(rf"{report.kind} +{report.view} +{report.version} +{report.state.value}", shown)


@pytest.mark.parametrize("page", ["views.md", "change-streams.md", "old-clients.md"])
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (DOCS / page).read_text(encoding="utf-8"))
    assert [link for link in links if not (DOCS / link).exists()] == []
