"""Reads the rules of a directory and says on stdout what is wrong with the first bad one.

A process of its own, given a few seconds, some memory and no secret: what it reads was sent by a
caller.
Exit code: 0, all are rules; 1, one is not.
"""

import os
import resource
import sys
from pathlib import Path

from projections.detection.rules import RuleError, load_rules

CPU_SECONDS_MAX = 30
"""It ends also where nobody is left to end it."""
MEMORY_BYTES_MAX = 1 << 30
"""Of addresses: a value that a modifier makes many of can fill any memory."""


def main(folder: str) -> int:
    """Check the rules of a directory."""
    try:
        load_rules([Path(folder)])
    except RuleError as error:
        sys.stdout.write(str(error).replace(f"{folder}/", ""))
        return 1
    return 0


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS_MAX, CPU_SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    # What answers others goes first.
    os.nice(10)
    sys.exit(main(sys.argv[1]))
