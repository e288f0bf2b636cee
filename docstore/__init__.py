"""
Versioned MongoDB documents, read at the latest shape and rewritten in place.
"""
