"""The measurement of rebuilds: whose round counts, and what is due."""

import sys

import pytest

from bench.rebuild import Side, VoidRoundError
from bench.topic import Filled, follow
from tests.samples import events

DUE = Filled(events=10, linked=3)


def side(told: str) -> Side:
    """A program that tells this."""
    return Side("a peer", lambda _: [sys.executable, "-c", f"print({told!r})"], {}, [], DUE)


def test_a_round_with_the_right_table_counts() -> None:
    right = side('{"events": 10, "seconds": 2.0, "cpu": 0.001, "linked": 3}')
    right.turn()
    assert right.rates == [5.0]
    assert right.cpus == pytest.approx([100.0])


@pytest.mark.parametrize(
    "told",
    [
        '{"events": 10, "seconds": 2.0, "cpu": 0.001, "linked": 4}',
        '{"events": 9, "seconds": 2.0, "cpu": 0.001, "linked": 3}',
        "no such topic",
    ],
)
def test_a_round_with_another_table_or_none_is_void(told: str) -> None:
    wrong = side(told)
    with pytest.raises(VoidRoundError, match="a peer"):
        wrong.turn()
    assert (wrong.rates, wrong.cpus) == ([], [])


def test_only_the_holders_own_events_end_a_link() -> None:
    linked = events.linked(1)
    told = {"type": linked.type, "subject": linked.subject, "data": linked.data}
    ending = told | {"type": "device.unlinked.v1"}
    strangers = ending | {"data": linked.data | {"userId": "somebody else"}}
    holders: dict[str, tuple[str, str]] = {}
    sizes = []
    for one in (ending, told, strangers, ending):
        follow(holders, one)
        sizes.append(len(holders))
    assert sizes == [0, 1, 1, 0]
