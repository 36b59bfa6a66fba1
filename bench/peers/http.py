"""The peers that answer over HTTP, started together, with what each is asked."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.links import about
from bench.peers.keycloak import running_keycloak
from bench.peers.kratos import running_kratos
from tests.support.postgres import fresh_database, running_postgres


@dataclass(frozen=True)
class Asked:
    """What a peer is asked; ``cpu`` is the CPU time (s) that its processes have used so far."""

    name: str
    port: int
    requests: Sequence[bytes]
    cpu: Callable[[], float]
    goal: float | None = None


@dataclass(frozen=True)
class Peers:
    """What is asked beside our lookup, and beside our list of so many."""

    lookups: list[Asked]
    lists: dict[int, list[Asked]]


@contextmanager
def running_peers(home: Path, tokens: int, counts: Sequence[int]) -> Iterator[Peers]:
    """Start them; their users have that many sessions.

    Raises:
        MissingPeerError: one is not installed.
    """
    with (
        running_postgres("-c max_connections=200") as server,
        fresh_database(server) as database,
    ):
        pid, _ = about(server)
        assert pid is not None, "a full run takes the PostgreSQL of its wheel"
        with (
            running_keycloak(
                database, psutil.Process(pid), home / "keycloak.log", counts
            ) as keycloak,
            running_kratos(home / "kratos-home") as kratos,
        ):

            def ask_keycloak(what: str, asked: Sequence[bytes], goal: float | None = None) -> Asked:
                return Asked(f"Keycloak's {what}", keycloak.port, asked, keycloak.cpu_seconds, goal)

            def ask_kratos(what: str, asked: Sequence[bytes], goal: float | None = None) -> Asked:
                return Asked(f"Kratos' {what}", kratos.port, asked, kratos.cpu_seconds, goal)

            yield Peers(
                [
                    ask_keycloak("introspection", keycloak.introspections(tokens), 2.0),
                    ask_kratos("whoami", kratos.whoamis(tokens), 3.0),
                ],
                {
                    count: [
                        ask_keycloak(f"{count:,} sessions", [keycloak.sessions(count)]),
                        ask_kratos(f"{count:,} sessions", [kratos.sessions(count)]),
                    ]
                    for count in counts
                },
            )
