"""Stream workers as processes, on a Kafka and a store."""

import os
import subprocess
import sys
from pathlib import Path

from pydantic import SecretStr

from device_ledger.cli.child import Child
from device_ledger.settings import Settings


def settings_of(home: Path, servers: str, url: str) -> Settings:
    """The settings of the workers below."""
    return Settings(home=home, KAFKA_BOOTSTRAP_SERVERS=servers, read_models_url=SecretStr(url))


def environment(home: Path, servers: str, url: str) -> dict[str, str]:
    """The environment that says the same."""
    return {
        **os.environ,
        "DEVICE_LEDGER_HOME": str(home),
        "KAFKA_BOOTSTRAP_SERVERS": servers,
        "DEVICE_LEDGER_READ_MODELS_URL": url,
    }


class Worker(Child):
    """``device-ledger streams``."""

    def __init__(self, home: Path, servers: str, url: str, name: str = "streams") -> None:
        words = (sys.executable, "-m", "device_ledger", "streams", "--name", name)
        super().__init__(name, home, environment(home, servers, url), command=words)


def command(home: Path, servers: str, url: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run ``device-ledger …`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "device_ledger", *words],
        env=environment(home, servers, url),
        capture_output=True,
        timeout=120,
        check=False,
    )
