"""Lint the scripts of the report and its pages, the parts of each together: `python tests/lint_script.py`.

The rules are those of `.oxlintrc.json`.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from altfreeze.report.templates import EXPLORER, NOTEBOOK, PAGE, script

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Return the exit status of oxlint, 0 where nothing is found."""
    with tempfile.TemporaryDirectory() as folder:
        for name, parts in {"notebook": NOTEBOOK, "page": PAGE, "explorer": EXPLORER}.items():
            (Path(folder) / f"{name}.js").write_text(script(*parts), encoding="utf-8")
        oxlint = Path(sys.executable).with_name("oxlint")
        return subprocess.run([oxlint, "--config", ROOT / ".oxlintrc.json", folder]).returncode


if __name__ == "__main__":
    sys.exit(main())
