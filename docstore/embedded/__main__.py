"""
`python -m docstore.embedded`: say which mongod would run here, or why none can.
"""

import os
import sys

from docstore.embedded.binary import check_mongod, find_mongod
from docstore.errors import EmbeddedServerError


def main() -> int:
    """
    Print the binary and its version; on failure the reason and the way out, to stderr, with exit code 1.
    """
    try:
        path = find_mongod(os.environ)
        version = check_mongod(path)
    except EmbeddedServerError as error:
        sys.stderr.write("\n".join([str(error), *getattr(error, "__notes__", ())]) + "\n")
        return 1
    sys.stdout.write(f"mongod {version} at {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
