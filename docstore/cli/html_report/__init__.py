"""
The report as one HTML page: values first, in one module for each part, then templates that only lay them out.
"""

from docstore.cli.html_report.page import html_page

__all__ = ["html_page"]
