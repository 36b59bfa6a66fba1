"""Reads over HTTP: lookups and lists, against bare routes, in a full run also against peers."""

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Final

import psutil

from bench import rising
from bench.calls import deactivate, link, link_all, login_seen, lookup
from bench.commands import about
from bench.load import Generator, request
from bench.peers.keycloak import Keycloak, running_keycloak
from bench.peers.kratos import Kratos, running_kratos
from bench.report import Begin, Row, Step, VoidRunError
from bench.system import MERCHANTS, System, cpu_seconds, running_bare, running_system
from bench.turns import Question, Side, measure_in_turns
from bench.wrk import Load
from tests.support.postgres import fresh_database, running_postgres

DEVICES: Final = 10_000
DEVICES_FULL: Final = 100_000
LOOKUPS: Final = 50_000
"""So many are drawn; they come again from the start when all were sent."""
FEW: Final = 50
MANY: Final = 1_000
PAGE: Final = 20
LOOKUP: Final = Question("lookup", 16, 4)
LIST: Final = Question(f"user's list of {FEW}", 8, 3)
LONG_LIST: Final = Question(f"user's list of {MANY:,}, half of them ended", 2, 5)
CUSTOMER_PAGE: Final = Question(f"page of {FEW} of a customer's {MANY // 2} links", 8, 3)
BANK_LIST: Final = Question(f"bank's list of {PAGE}", 8, 3)


def measure(begin: Begin, step: Step, full: bool) -> list[Row]:
    """All questions. Each lookup must be on record on the access topic.

    Raises:
        MissingPeerError: wrk is not installed, or a peer in a full run.
        VoidRunError: the access topic tells of more or fewer lookups than were sent.
    """
    devices = DEVICES_FULL if full else DEVICES
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="device-ledger-bench-")))
        begin("starting what is measured")
        peers = stack.enter_context(_running_peers(home)) if full else None
        bare = stack.enter_context(running_bare())
        system = stack.enter_context(running_system(home / "system"))
        generator = stack.enter_context(Generator())
        begin(f"linking {devices:,} devices")
        _populate(system, generator, devices)
        turns = _Turns(home, system, bare, peers, step)
        before = system.lookups_on_record()
        begin("lookups")
        lookups = _drawn(system, devices)
        rows, sent = turns.lookups(lookups)
        if full:
            begin("lookups under rising load")
            limit = median(rows[0].rounds.ours)
            more, answered = rising.measure(system, generator, lookups[:5_000], limit, step)
            rows, sent = rows + more, sent + answered
        told = system.lookups_on_record() - before
        if told != sent:
            raise VoidRunError(f"{sent} lookups were sent, the access topic tells of {told}")
        begin("lists")
        return rows + turns.lists()


class _Turns:
    """Who takes turns, question by question."""

    def __init__(
        self,
        home: Path,
        system: System,
        bare: tuple[int, psutil.Process],
        peers: tuple[Keycloak, Kratos] | None,
        step: Step,
    ) -> None:
        self._home = home
        self._system = system
        self._bare_port, self._bare_process = bare
        self._peers = peers
        self._step = step

    def lookups(self, lookups: Sequence[bytes]) -> tuple[list[Row], int]:
        """Rows, and how many lookups were sent."""
        others = [self._bare(lookups, 0.8)]
        if self._peers:
            keycloak, kratos = self._peers
            asked = keycloak.introspections(MERCHANTS)
            others.append(self._keycloak("introspection", asked, 2.0))
            others.append(self._kratos("whoami", kratos.whoamis(MERCHANTS), 3.0))
        ours = self._ours(lookups)
        return measure_in_turns(LOOKUP, ours, others, self._step), ours.sent

    def lists(self) -> list[Row]:
        """Rows of all lists."""
        return [
            *self._list(LIST, "/settings/devices", _user(FEW), "anna", FEW),
            *self._list(
                LONG_LIST,
                f"/a/consumer/api/v0/users/{_user(MANY)}/devices?onlyActive=false",
                _user(MANY),
                "berta",
                MANY,
            ),
            *self._page(CUSTOMER_PAGE, f"page=5&limit={FEW}&customerId={_user(MANY)}"),
            *self._page(BANK_LIST, f"page=1&limit={PAGE}"),
        ]

    def _list(
        self, question: Question, path: str, user: str, peers_user: str, count: int
    ) -> list[Row]:
        asked = [request("GET", path, self._system.user(user))]
        others = [self._bare(asked, 0.4)]
        if self._peers:
            keycloak, kratos = self._peers
            sessions = [keycloak.sessions(peers_user, count)]
            others.append(self._keycloak(f"{count:,} sessions", sessions, None))
            sessions = [kratos.sessions(f"{peers_user}@example.org", count)]
            others.append(self._kratos(f"{count:,} sessions", sessions, None))
        return measure_in_turns(question, self._ours(asked), others, self._step)

    def _page(self, question: Question, asked: str) -> list[Row]:
        requests = [request("GET", f"/v1/bank/devices/list?{asked}", self._system.bank)]
        others = [self._bare(requests, 0.4)]
        return measure_in_turns(question, self._ours(requests), others, self._step)

    def _ours(self, requests: Sequence[bytes]) -> Side:
        system = self._system
        load = Load(self._home / "ours", requests)
        return Side("ours", system.port, load, system.cpu_seconds_of_all, rested=system.settle)

    def _bare(self, requests: Sequence[bytes], goal: float) -> Side:
        load = Load(self._home / "bare", requests)
        used = lambda: cpu_seconds(self._bare_process)  # noqa: E731
        return Side("a bare route", self._bare_port, load, used, goal)

    def _keycloak(self, what: str, requests: Sequence[bytes], goal: float | None) -> Side:
        assert self._peers
        keycloak, load = self._peers[0], Load(self._home / "keycloak", requests)
        return Side(f"Keycloak's {what}", keycloak.port, load, keycloak.cpu_seconds, goal)

    def _kratos(self, what: str, requests: Sequence[bytes], goal: float | None) -> Side:
        assert self._peers
        kratos, load = self._peers[1], Load(self._home / "kratos", requests)
        return Side(f"Kratos' {what}", kratos.port, load, kratos.cpu_seconds, goal)


@contextmanager
def _running_peers(home: Path) -> Iterator[tuple[Keycloak, Kratos]]:
    with (
        running_postgres("-c max_connections=200") as server,
        fresh_database(server) as database,
    ):
        pid, _ = about(server)
        assert pid is not None, "a full run takes the PostgreSQL of its wheel"
        log = home / "keycloak.log"
        with (
            running_keycloak(database, psutil.Process(pid), log) as keycloak,
            running_kratos(home / "kratos-home") as kratos,
        ):
            yield keycloak, kratos


def _user(count: int) -> str:
    """The customer and user who has so many devices."""
    return f"user-with-{count}"


def _populate(system: System, generator: Generator, devices: int) -> None:
    """Devices of as many customers; a user of few devices and one of many, half of them ended."""
    few, many = ([f"{_user(count)}-{n}" for n in range(count)] for count in (FEW, MANY))
    ended = many[: MANY // 2]
    first = [link(system, _device(number)) for number in range(devices)]
    first += [link(system, name, _user(FEW)) for name in few]
    first += [link(system, name, _user(MANY)) for name in ended]
    link_all(system, generator, first, "first-are-there")
    gone = [deactivate(system, name, _user(MANY)) for name in ended]
    link_all(system, generator, gone, "second-are-there")
    later = [link(system, name, _user(MANY)) for name in many[MANY // 2 :]]
    link_all(system, generator, later, "third-are-there")
    seen = [login_seen(system, name, _user(FEW)) for name in few]
    seen += [login_seen(system, name, _user(MANY)) for name in many[MANY // 2 :]]
    link_all(system, generator, seen, "all-are-there")
    system.settle()


def _device(number: int) -> str:
    return f"bench-device-{number:07d}"


def _drawn(system: System, devices: int) -> list[bytes]:
    """Lookups by any merchant of devices drawn by Zipf's law: the n-th is asked for 1/n as often
    as the first.
    """
    chance = random.Random(1)
    weights = list(accumulate(1 / rank for rank in range(1, devices + 1)))
    numbers = chance.choices(range(devices), cum_weights=weights, k=LOOKUPS)
    return [lookup(chance.choice(system.merchants), _device(number)) for number in numbers]
