"""
Store the slug, and the names as a search compares them: without case and accents.

Both are derived from what the row already has, so the way back just drops them. The spelling needs `unicodedata`,
which no server has: this step is made of functions, and rows go through the client path. `writes` says which fields
they touch, so that queries on every other field need not care for rows that are still old.

    before  {name: "Çankırı", names: ["Çankırı", "Cankiri"], country: {code: "TR", …}, …}
    after   {name: "Çankırı", names: ["Çankırı", "Cankiri"], country: {code: "TR", …}, …,
             slug: "cankırı-tr", search_keys: ["cankırı", "cankiri"]}
"""

from typing import Any

from docstore import Step
from upgraders.city.text import search_keys, slug


def add(row: dict[str, Any]) -> dict[str, Any]:
    """
    Derive the slug and the search keys.
    """
    row["slug"] = slug(row["name"], row["country"]["code"])
    row["search_keys"] = search_keys(row["names"])
    return row


def drop(row: dict[str, Any]) -> dict[str, Any]:
    """
    Remove what `add` derived.
    """
    row.pop("slug", None)
    row.pop("search_keys", None)
    return row


step = Step(
    upgrade=add,
    downgrade=drop,
    writes=["slug", "search_keys"],
    summary="store a slug and search keys",
)
