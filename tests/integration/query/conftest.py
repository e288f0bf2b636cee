"""
The three drivers under one name.
"""

from typing import Any

import pytest


@pytest.fixture(params=["pymongo", "motor", "mock"])
def any_database(request: pytest.FixtureRequest) -> Any:
    """
    An empty database on each driver in turn.
    """
    name = {"pymongo": "database", "motor": "motor_database", "mock": "mock_database"}[request.param]
    return request.getfixturevalue(name)


@pytest.fixture(params=["pymongo", "motor"])
def server_database(request: pytest.FixtureRequest) -> Any:
    """
    An empty database on each driver that speaks to a server, in turn.
    """
    return request.getfixturevalue("database" if request.param == "pymongo" else "motor_database")
