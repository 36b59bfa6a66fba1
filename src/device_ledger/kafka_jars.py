"""The jars of Apache Kafka: which ones, where they lie, and that they are the right bytes.

``kafka-jars.sha256`` is the lock: a line a jar, its SHA-256 and its Maven coordinate, for all that
``org.apache.kafka:kafka_2.13`` and ``org.slf4j:slf4j-simple`` need. jgo's Maven layer fetches what
the machine's Maven repository (``M2_REPO``, else ``~/.m2/repository``) lacks. Nothing is resolved
at a start: what runs is what was locked. ``make kafka-jars`` resolves and locks anew.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from importlib.resources import files
from pathlib import Path
from typing import Final

import jgo
import requests
from jgo.maven import Artifact, MavenContext

ENDPOINT: Final = "org.apache.kafka:kafka_2.13:4.2.2+org.slf4j:slf4j-simple:1.7.36"
"""What is run, as Maven coordinates; all else follows from it."""

Report = Callable[[int, int], None]
"""Told after each jar: how many are here, of how many."""


class BrokerError(RuntimeError):
    """The local broker can't run; the message is one line that says why and what to do."""


@dataclass(frozen=True)
class LockedJar:
    """A jar and the SHA-256 (lower-case hex) that its bytes must have."""

    coordinate: str
    sha256: str


def locked_jars() -> list[LockedJar]:
    """The jars that the broker runs with, in the order of its class path."""
    lines = files("device_ledger").joinpath("kafka-jars.sha256").read_text().splitlines()
    return [LockedJar(coordinate, digest) for digest, coordinate in map(str.split, lines)]


def fetch_jars(jars: list[LockedJar], report: Report, maven: MavenContext) -> list[Path]:
    """Paths of the jars, each checked against its hash; those that are missing are downloaded.

    A file with other bytes, as an interrupted download leaves it, is fetched once more.

    Raises:
        BrokerError: a jar can't be had, or isn't the one that was locked.
    """
    paths = []
    with _alone(maven.repo_cache):
        for done, jar in enumerate(jars, start=1):
            paths.append(_fetch(jar, maven))
            report(done, len(jars))
    return paths


def _fetch(jar: LockedJar, maven: MavenContext) -> Path:
    group, name, version = jar.coordinate.split(":")
    artifact = maven.project(group, name).at_version(version).artifact()
    cached = artifact.cached_path
    if cached is not None and cached.exists() and _sha256(cached) != jar.sha256:
        cached.unlink()
    path = _resolve(artifact, jar.coordinate)
    if _sha256(path) != jar.sha256:
        path.unlink()
        raise BrokerError(f"{jar.coordinate} from Maven is not the jar that was locked: not run")
    return path


def _resolve(artifact: Artifact, coordinate: str) -> Path:
    try:
        return Path(artifact.resolve())
    except (requests.RequestException, RuntimeError, OSError) as error:
        raise BrokerError(
            f"{coordinate} can't be fetched from Maven Central ({type(error).__name__}): "
            "check the network, or set KAFKA_BOOTSTRAP_SERVERS to a broker that runs"
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold others off: jgo writes downloads in place, two at once would mix their bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".device-ledger.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def _lock() -> str:
    """The lines of ``kafka-jars.sha256`` for what ``ENDPOINT`` resolves to."""
    artifacts = {
        f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}": artifact
        for artifact in jgo.resolve(ENDPOINT)
    }
    return "".join(
        f"{_sha256(Path(artifacts[coordinate].resolve()))}  {coordinate}\n"
        for coordinate in sorted(artifacts)
    )


if __name__ == "__main__":
    sys.stdout.write(_lock())
