"""Reads over HTTP: lookups and lists, against bare routes, in a full run also against peers."""

import random
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import accumulate, count
from pathlib import Path
from statistics import median
from typing import Final

import psutil

from bench import rising
from bench.calls import deactivate, link, link_all, login_seen, lookup
from bench.load import Generator, request
from bench.peers.http import Asked, Peers, running_peers
from bench.populating import link_devices
from bench.report import Begin, Row, Step, VoidRunError
from bench.system import BANK, MERCHANTS, System, cpu_seconds, running_bare, running_system
from bench.turns import Question, Side, measure_in_turns
from bench.wrk import Load

DEVICES: Final = 10_000
DEVICES_FULL: Final = 100_000
LOOKUPS: Final = 50_000
"""So many are drawn; they come again from the start when all were sent."""
FEW: Final = 50
MANY: Final = 1_000
PAGE: Final = 20
LOOKUP: Final = Question("lookup", 64, 4)
LIST: Final = Question(f"user's list of {FEW}", 64, 3)
LONG_LIST: Final = Question(f"user's list of {MANY:,}, half of them ended", 2, 5)
LONG_LIST_SECONDS_OF_PEERS: Final = 20
"""A peer may answer less than once a second."""
CUSTOMER_PAGE: Final = Question(f"page of {FEW} of a customer's {MANY // 2} links", 64, 3)
BANK_LIST: Final = Question(f"bank's list of {PAGE}", 64, 3)


def measure(begin: Begin, step: Step, full: bool) -> list[Row]:
    """All questions. Each lookup must be on record on the access topic.

    Raises:
        MissingPeerError: wrk is not installed, or a peer in a full run.
        VoidRunError: the access topic tells of more or fewer lookups than were sent.
    """
    devices = DEVICES_FULL if full else DEVICES
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="device-ledger-bench-")))
        begin(f"linking {devices:,} devices")
        link_devices(home / "system", BANK, [_device(number) for number in range(devices)])
        begin("starting what is measured")
        peers = stack.enter_context(running_peers(home, MERCHANTS, (FEW, MANY))) if full else None
        bare = stack.enter_context(running_bare())
        system = stack.enter_context(running_system(home / "system"))
        generator = stack.enter_context(Generator())
        begin("linking users' devices")
        _link_users(system, generator)
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
        peers: Peers | None,
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
            others += map(self._peer, count(), self._peers.lookups)
        ours = self._ours(lookups)
        return measure_in_turns(LOOKUP, ours, others, self._step), ours.sent

    def lists(self) -> list[Row]:
        """Rows of all lists."""
        long_list = LONG_LIST
        if self._peers:
            long_list = replace(LONG_LIST, seconds=LONG_LIST_SECONDS_OF_PEERS)
        return [
            *self._list(LIST, "/settings/devices", FEW),
            *self._list(
                long_list,
                f"/a/consumer/api/v0/users/{self._system.user_id(_user(MANY))}/devices?onlyActive=false",
                MANY,
            ),
            *self._page(CUSTOMER_PAGE, f"page=5&limit={FEW}&customerId={_user(MANY)}"),
            *self._page(BANK_LIST, f"page=1&limit={PAGE}"),
        ]

    def _list(self, question: Question, path: str, devices: int) -> list[Row]:
        asked = [request("GET", path, self._system.user(_user(devices)))]
        others = [self._bare(asked, 0.4)]
        if self._peers:
            others += map(self._peer, count(), self._peers.lists[devices])
        return measure_in_turns(question, self._ours(asked), others, self._step)

    def _page(self, question: Question, asked: str) -> list[Row]:
        requests = [request("GET", f"/v1/bank/devices/list?{asked}", self._system.bank)]
        others = [self._bare(requests, 0.4)]
        return measure_in_turns(question, self._ours(requests), others, self._step)

    def _ours(self, requests: Sequence[bytes]) -> Side:
        system = self._system
        load = Load(self._home / "ours", requests)
        return Side("ours", system.port, load, system.cpu_seconds_of_answers, rested=system.settle)

    def _bare(self, requests: Sequence[bytes], goal: float) -> Side:
        load = Load(self._home / "bare", requests)
        used = lambda: cpu_seconds(self._bare_process)  # noqa: E731
        return Side("a bare route", self._bare_port, load, used, goal)

    def _peer(self, number: int, asked: Asked) -> Side:
        load = Load(self._home / f"peer-{number}", asked.requests)
        return Side(asked.name, asked.port, load, asked.cpu, asked.goal)


def _user(devices: int) -> str:
    """The customer and user who has so many devices."""
    return f"user-with-{devices}"


def _link_users(system: System, generator: Generator) -> None:
    """A user of few devices and one of many, half of them ended."""
    few, many = ([f"{_user(most)}-{n}" for n in range(most)] for most in (FEW, MANY))
    ended = many[: MANY // 2]
    first = [link(system, name, _user(FEW)) for name in few]
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
