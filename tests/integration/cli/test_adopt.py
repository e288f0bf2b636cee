"""
`docstore adopt`, as it is typed.
"""

from typing import Any


def test_it_tags_rows_and_leaves_with_code_0(command_line: Any) -> None:
    command_line.database.places.insert_many([{"_id": 1, "title": "Oslo"}, {"_id": 2, "title": "Bergen"}])

    adopted = command_line.run("adopt", "place", "--format", "json")

    assert (adopted.code, adopted.json["tagged"], adopted.json["remaining"]) == (0, 2, 0)
    assert command_line.database.places.count_documents({"schema_version": 1}) == 2
