"""The example of docs/proofs.md does what the page says."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "proofs.md"


def test_the_outsiders_example_runs_and_prints_what_the_page_shows() -> None:
    [(example, printed)] = re.findall(
        r"```python\n(.*?)```\n\n```\n(.*?)```", PAGE.read_text(), re.DOTALL
    )
    told = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, check=True
    )
    assert told.stdout == printed
