"""
Versioned MongoDB documents, read at the latest shape and rewritten in place.
"""

from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.step import Step

__all__ = ["Document", "Kind", "Step"]
