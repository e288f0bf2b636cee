"""
Where log events go on the command line: to stderr, one line each.
"""

import logging
import sys

import structlog


def configure_logs(*, verbose: bool) -> None:
    """
    Write events to stderr: warnings and worse, or with *verbose* also what goes well.

    On a terminal they are coloured and have the local time; otherwise each is a JSON object with the time in UTC.
    """
    terminal = sys.stderr.isatty()
    ending: list[structlog.typing.Processor] = (
        [structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False), structlog.dev.ConsoleRenderer(colors=True)]
        if terminal
        else [structlog.processors.TimeStamper(fmt="iso", utc=True), structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if verbose else logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
