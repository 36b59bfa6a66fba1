"""The checker of histories finds those that no register has, and no others."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.linearizability import (
    DONE,
    REFUSED,
    UNKNOWN,
    History,
    Operation,
    effects,
    is_linearizable,
)


def op(kind: Any, caller: str, called_at: float, returned_at: float, result: Any) -> Operation:
    return Operation(kind, caller, called_at, returned_at, result)


def link(caller: str, called_at: float, returned_at: float, result: str = DONE) -> Operation:
    return op("link", caller, called_at, returned_at, result)


def unlink(caller: str, called_at: float, returned_at: float, result: str = DONE) -> Operation:
    return op("unlink", caller, called_at, returned_at, result)


def lookup(called_at: float, returned_at: float, result: str | None) -> Operation:
    return op("lookup", "", called_at, returned_at, result)


WRONG = {
    "a lookup misses a link that was answered": [link("a", 0, 1), lookup(2, 3, None)],
    "a lookup shows a link that nobody made": [lookup(0, 1, "a")],
    "a lookup shows a link that is still to come": [lookup(0, 1, "a"), link("a", 2, 3)],
    "two hold it": [link("a", 0, 3), link("b", 1, 2)],
    "two hold it at different times": [link("a", 0, 1), link("b", 2, 3)],
    "it is taken and nobody has it": [link("a", 0, 1, REFUSED)],
    "it is taken after it was freed": [
        link("a", 0, 1),
        unlink("a", 2, 3),
        link("b", 4, 5, REFUSED),
    ],
    "another unlinks it": [link("a", 0, 1), unlink("b", 2, 3)],
    "it is unlinked twice": [link("a", 0, 1), unlink("a", 2, 5), unlink("a", 3, 4)],
    "an unlink is lost": [link("a", 0, 1), unlink("a", 2, 3), lookup(4, 5, "a")],
    "lookups go back": [link("a", 0, 9), lookup(1, 2, "a"), lookup(3, 4, None)],
    "two readers see another order": [
        link("a", 0, 9),
        unlink("a", 1, 9),
        lookup(2, 3, "a"),
        lookup(4, 5, None),
        lookup(6, 7, "a"),
    ],
    "what is unknown is shown before it was asked": [
        lookup(0, 1, "a"),
        link("a", 2, math.inf, UNKNOWN),
    ],
    "what is unknown is shown, then not, then again": [
        link("a", 0, math.inf, UNKNOWN),
        lookup(1, 2, "a"),
        lookup(3, 4, None),
        lookup(5, 6, "a"),
    ],
}

RIGHT = {
    "nothing": [],
    "one after the other": [
        link("a", 0, 1),
        lookup(2, 3, "a"),
        unlink("a", 4, 5),
        lookup(6, 7, None),
    ],
    "at once, the lookup first": [link("a", 0, 3), lookup(1, 2, None)],
    "at once, the link first": [link("a", 0, 3), lookup(1, 2, "a")],
    "one of two wins": [link("a", 0, 3), link("b", 1, 2, REFUSED), lookup(4, 5, "a")],
    "it goes from hand to hand": [link("a", 0, 1), unlink("a", 2, 9), link("b", 3, 8)],
    "again": [link("a", 0, 1), link("a", 2, 3)],
    "what is unknown was never done": [link("a", 0, math.inf, UNKNOWN), lookup(1, 2, None)],
    "what is unknown was done late": [
        link("a", 0, math.inf, UNKNOWN),
        lookup(1, 2, None),
        lookup(3, 4, "a"),
    ],
    "what is unknown freed it": [
        link("a", 0, 1),
        unlink("a", 2, math.inf, UNKNOWN),
        link("b", 3, 4),
    ],
}


@pytest.mark.parametrize("history", WRONG.values(), ids=WRONG)
def test_a_history_that_no_register_has_is_found(history: list[Operation]) -> None:
    assert not is_linearizable(history)
    assert not is_linearizable(history[::-1])


@pytest.mark.parametrize("history", RIGHT.values(), ids=RIGHT)
def test_a_history_that_a_register_may_have_is_none(history: list[Operation]) -> None:
    assert is_linearizable(history)
    assert is_linearizable(history[::-1])


def explained_by_some_order(history: list[Operation]) -> bool:
    """The same, by trying all orders of all subsets that hold what is known."""
    unknown = [one for one in history if one.result == UNKNOWN]
    known = [one for one in history if one.result != UNKNOWN]
    return any(
        _is_explained(order)
        for count in range(len(unknown) + 1)
        for some in itertools.combinations(unknown, count)
        for order in itertools.permutations([*known, *some])
    )


def _is_explained(order: tuple[Operation, ...]) -> bool:
    for before, after in itertools.combinations(order, 2):
        if after.returned_at < before.called_at:
            return False
    held: set[str | None] = {None}
    for one in order:
        held = {after for holder in held for after in effects(holder, one)}
    return bool(held)


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    """Up to five operations at any moments, with any results."""
    count = draw(st.integers(1, 5))
    moments = draw(st.permutations(range(2 * count)))
    made = []
    for at in range(count):
        called_at, returned_at = sorted(moments[2 * at : 2 * at + 2])
        kind = draw(st.sampled_from(["link", "unlink", "lookup"]))
        results = ["a", "b", None] if kind == "lookup" else [DONE, REFUSED, UNKNOWN]
        result = draw(st.sampled_from(results))
        end = math.inf if result == UNKNOWN else returned_at
        made.append(op(kind, draw(st.sampled_from("ab")), called_at, end, result))
    return made


@given(histories())
def test_it_agrees_with_trying_all_orders(history: list[Operation]) -> None:
    assert is_linearizable(history) is explained_by_some_order(history)


def test_a_long_history_is_checked_at_once() -> None:
    history = []
    for at in range(0, 3000, 6):
        history += [link("a", at, at + 2), lookup(at + 1, at + 3, "a"), unlink("a", at + 4, at + 5)]
    assert is_linearizable(history)
    assert not is_linearizable([*history, lookup(4000, 4001, "a")])


def test_an_operation_whose_end_is_not_known_is_recorded_so() -> None:
    history = History()
    with history.recording("device-1", "link", "a") as told:
        told(DONE)
    with pytest.raises(OSError, match="away"), history.recording("device-1", "unlink", "a"):
        raise OSError("away")
    assert history.operations == {
        "device-1": [link("a", 0, 1), unlink("a", 2, math.inf, UNKNOWN)]
    }  # fmt: skip
