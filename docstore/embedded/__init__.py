"""
A private local mongod: for the demo, for tests, and for trying things out. Nothing for production.

`EmbeddedServer` runs a replica set of one or more members in a temporary folder. When the process that
started it ends, however badly, the servers end and the folder is gone.
"""

from docstore.embedded.binary import check_mongod, find_mongod, missing_libraries
from docstore.embedded.member import Member
from docstore.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer", "Member", "check_mongod", "find_mongod", "missing_libraries"]
