"""
`python -m docstore.cli` does what `docstore` does.
"""

from docstore.cli.app import main

main()
