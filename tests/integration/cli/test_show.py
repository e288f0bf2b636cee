"""
`docstore show`, as it is typed.
"""

from typing import Any


def store(command_line: Any) -> None:
    rows = [{"_id": number, "schema_version": 1, "title": f"t{number}"} for number in range(4)]
    command_line.database.places.insert_many(rows)


def test_it_shows_versions_and_steps(command_line: Any) -> None:
    shown = command_line.run("show", "place", "--format", "json")
    assert shown.code == 0
    assert (shown.json["floor"], shown.json["latest"], shown.json["versions"]) == (1, 3, [1, 2, 3])
    first, second = shown.json["steps"]
    assert first["operations"] == ["RenameField(source='title', target='name')"]
    assert (first["runs_on_server"], first["has_way_back"]) == (True, True)
    assert (second["operations"], second["writes"], second["runs_on_server"]) == ([], ["slug"], False)
    assert shown.json["query"] is None
    table = command_line.run("show", "place")
    assert table.code == 0
    assert "latest 3" in table.output


def test_it_tells_which_way_a_query_takes(command_line: Any) -> None:
    store(command_line)
    shown = command_line.run("show", "place", "--query", '{"name": "t1"}', "--format", "json")
    assert shown.code == 0
    query = shown.json["query"]
    assert (query["way"], query["paths"]) == ("translated", ["name"])
    assert query["versions"] == [{"version": 1, "tag": 1, "rows": 4, "way": "translated"}]
    assert query["server_plan"] is not None
    sorted_by = command_line.run("show", "place", "--query", "{}", "--sort", '{"name": -1}')
    assert "the query is answered: upgraded on the server" in sorted_by.output


def test_a_query_that_would_be_refused_ends_with_the_ways_out(command_line: Any) -> None:
    store(command_line)
    shown = command_line.run("show", "place", "--query", '{"slug": "t1"}')
    assert shown.code == 3
    assert "docstore backfill start place --wait" in shown.output
    allowed = command_line.run(
        "show", "place", "--query", '{"slug": "t1"}', "--allow-client-filter", "--format", "json"
    )
    assert allowed.code == 0
    assert (allowed.json["query"]["way"], allowed.json["query"]["client_rows"]) == ("upgraded in the client", 4)


def test_it_tells_which_way_a_pipeline_takes(command_line: Any) -> None:
    store(command_line)
    grouped = '[{"$group": {"_id": "$name"}}]'
    shown = command_line.run("show", "place", "--pipeline", grouped, "--format", "json")
    assert shown.code == 0
    query = shown.json["query"]
    assert (query["way"], query["paths"]) == ("upgraded on the server", ["name"])
    assert query["versions"] == [{"version": 1, "tag": 1, "rows": 4, "way": "upgraded on the server"}]
    assert query["server_plan"] is not None
    refused = command_line.run("show", "place", "--pipeline", '[{"$match": {"slug": "t1"}}]')
    assert refused.code == 3
    assert "allow_client_filter=True" in refused.output
    allowed = command_line.run(
        "show", "place", "--pipeline", '[{"$match": {"slug": "t1"}}]', "--allow-client-filter", "--format", "json"
    )
    assert (allowed.code, allowed.json["query"]["client_rows"]) == (0, 4)


def test_what_is_no_query_is_a_usage_fault(command_line: Any) -> None:
    assert command_line.run("show", "place", "--query", "[1]").code == 2
    assert command_line.run("show", "place", "--query", "{name").code == 2
    assert command_line.run("show", "place", "--sort", '{"name": 1}').code == 2
    assert command_line.run("show", "place", "--pipeline", "{}").code == 2
    assert command_line.run("show", "place", "--pipeline", '[{"match": {}}]').code == 2
    assert command_line.run("show", "place", "--pipeline", "[]", "--query", "{}").code == 2
