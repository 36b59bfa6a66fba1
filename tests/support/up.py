"""``device-ledger up`` as a process on a home of a test's own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from device_ledger.broker import free_port


class Up:
    """A running ``up``: its process, what it printed, and its children."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.environment = environment_of(home) | environment
        self.process = subprocess.Popen(
            [sys.executable, "-m", "device_ledger", "up"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def greeting(self) -> str:
        """All that it prints once everything serves."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if "/v1/security/audit/search" in line:
                return "".join(lines)
        raise AssertionError(self.process.communicate()[1])

    def failure(self) -> tuple[int, str]:
        """Its exit code and what it wrote to stderr."""
        errors = self.process.communicate()[1]
        return self.process.returncode, errors

    def pid(self, name: str) -> int:
        """ID of the child that last said that it is ready; 0 while none is."""
        try:
            return int(json.loads((self.home / "run" / f"{name}.ready").read_text())["pid"])
        except FileNotFoundError:
            return 0

    def interrupt(self) -> int:
        """Press Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait()

    def wait(self, seconds: float) -> None:
        """Wait so long, or until it ends, which must not be."""
        with pytest.raises(subprocess.TimeoutExpired):
            self.process.wait(seconds)


def environment_of(home: Path) -> dict[str, str]:
    """The environment of a home with ports of its own, and without a Kafka of the machine."""
    own = {key: value for key, value in os.environ.items() if "KAFKA" not in key}
    return own | {
        "DEVICE_LEDGER_HOME": str(home),
        "DEVICE_LEDGER_PORT": str(free_port()),
        "DEVICE_LEDGER_BROKER_PORT": str(free_port()),
    }


@contextmanager
def running(home: Path) -> Iterator[Up]:
    """A running ``up``, interrupted at the end."""
    up = Up(home)
    try:
        yield up
    finally:
        if up.process.poll() is None:
            up.interrupt()
