"""
The kinds of this repository and their steps; `docstore` finds them by the name of this package.
"""
