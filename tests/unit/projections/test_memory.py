"""What is free within a heap goes back to the system."""

import subprocess
import sys

import pytest

_HOLES = """
from ctypes import CDLL
from pathlib import Path
from projections.memory import give_back

def held() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4

libc = CDLL(None)
if not hasattr(libc, "malloc_trim"):
    raise SystemExit(3)
# Blocks too small to be mapped each for itself; what is kept lies between what is freed.
blocks = [bytes(50_000) for _ in range(2_000)]
kept = blocks[::20]
del blocks
before = held()
give_back()
raise SystemExit(0 if held() < before / 2 else 1)
"""


def test_holes_are_given_back() -> None:
    if sys.platform != "linux":
        pytest.skip("no other system tells so what a process holds")
    done = subprocess.run([sys.executable, "-c", _HOLES], check=False)
    if done.returncode == 3:
        pytest.skip("a C library without malloc_trim")
    assert done.returncode == 0
