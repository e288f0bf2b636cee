"""The command line: parse, call a command, render. Nothing else happens here."""

from docstore.cli.app import main

__all__ = ["main"]
