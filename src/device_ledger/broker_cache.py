"""What Java learnt from one start of the broker, kept so that later starts take half the CPU.

The format is Java's own (an ahead-of-time cache, JEP 483 and 514, since Java 24 and 25). It belongs
to one Java and one list of jars: Java checks both itself and starts without it where they differ.
"""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from device_ledger.broker import LocalBroker, free_port
from device_ledger.java import OLDEST_WITH_CACHE, find_java, java_version
from device_ledger.kafka_jars import BrokerError

_ASSEMBLY_SECONDS: Final = 300.0
"""Java writes the cache as it ends; a slow machine is given a lot."""


def cache_file(java: Path, jars: Sequence[Path]) -> Path:
    """Where the cache of that Java and these jars is, or would be."""
    told = os.pathsep.join(map(str, [java.resolve(), java.stat().st_mtime_ns, *jars]))
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    return root / "device-ledger" / f"broker-{digest}.aot"


def cache_options(jars: Sequence[Path]) -> list[str]:
    """The options for a Java that starts the broker: none where there is no cache."""
    file = cache_file(find_java(), jars)
    if not file.exists():
        return []
    # A cache that doesn't fit is no news to whoever reads the broker's log.
    return [f"-XX:AOTCache={file}", "-Xlog:disable", "-Xlog:all=error:stderr"]


async def make_cache(jars: list[Path]) -> bool:
    """Start a broker on a folder of its own, stop it, and keep what Java learnt; whether there is
    a cache now. Takes 10 to 30 seconds; where there is one, nothing is done.

    Raises:
        BrokerError: the broker doesn't start.
    """
    java = find_java()
    file = cache_file(java, jars)
    if file.exists() or java_version(java) < OLDEST_WITH_CACHE:
        return file.exists()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BrokerError(f"{file.parent} can't be made: {error.strerror}") from error
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        draft = Path(folder) / "learnt.aot"
        broker = LocalBroker(Path(folder), free_port(), jars, learnt=draft)
        try:
            await broker.start()
        finally:
            await broker.stop(_ASSEMBLY_SECONDS)
        if draft.exists():
            draft.replace(file)
    return file.exists()
