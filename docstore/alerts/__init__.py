"""
Alert rules for Prometheus, as a file: `docstore.rules.yml` in this folder.

`python -c "from docstore.alerts import RULES; print(RULES)"` says where it is; docs/observing.md what each rule means.
"""

from pathlib import Path
from typing import Final

#: The file with the rules.
RULES: Final = Path(__file__).with_name("docstore.rules.yml")
