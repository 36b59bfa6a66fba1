"""Only the jars that were locked run: each is checked against its hash at every start."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from jgo.maven import MavenContext

from device_ledger.kafka_jars import BrokerError, LockedJar, fetch_jars, locked_jars

CONTENT = b"the jar that was locked"
JAR = LockedJar("org.example:thing:1.0", hashlib.sha256(CONTENT).hexdigest())
PATH = Path("org/example/thing/1.0/thing-1.0.jar")


def repository(folder: Path, content: bytes) -> Path:
    path = folder / PATH
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return folder


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """URL of a Maven repository on loopback."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def fetch(cache: Path, remote: str = "http://127.0.0.1:9") -> tuple[list[Path], list[int]]:
    told: list[int] = []
    maven = MavenContext(repo_cache=cache, remote_repos={"central": remote})
    return fetch_jars([JAR], lambda done, _total: told.append(done), maven), told


def test_a_jar_that_is_there_needs_no_network(tmp_path: Path) -> None:
    cache = repository(tmp_path, CONTENT)
    assert fetch(cache) == ([cache / PATH], [1])


def test_a_missing_jar_is_downloaded(tmp_path: Path) -> None:
    with served(repository(tmp_path / "remote", CONTENT)) as remote:
        assert fetch(tmp_path / "cache", remote) == ([tmp_path / "cache" / PATH], [1])


def test_a_half_downloaded_jar_is_fetched_again(tmp_path: Path) -> None:
    cache = repository(tmp_path / "cache", CONTENT[:5])
    with served(repository(tmp_path / "remote", CONTENT)) as remote:
        fetch(cache, remote)
    assert (cache / PATH).read_bytes() == CONTENT


def test_other_bytes_than_the_locked_ones_are_never_run(tmp_path: Path) -> None:
    with (
        served(repository(tmp_path / "remote", b"something else")) as remote,
        pytest.raises(BrokerError, match=r"thing:1\.0 from Maven is not the jar that was locked"),
    ):
        fetch(tmp_path / "cache", remote)
    assert not (tmp_path / "cache" / PATH).exists()


def test_without_network_one_line_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        BrokerError, match=r"thing:1\.0 can't be fetched from Maven Central .*: check"
    ):
        fetch(tmp_path)


def test_the_lock_names_the_broker_and_its_46_jars() -> None:
    jars = locked_jars()
    assert len({jar.coordinate for jar in jars}) == 46
    assert {len(bytes.fromhex(jar.sha256)) for jar in jars} == {32}
    assert {"org.apache.kafka:kafka_2.13:4.2.2", "org.slf4j:slf4j-simple:1.7.36"} < {
        jar.coordinate for jar in jars
    }
