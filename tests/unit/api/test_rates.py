"""Rate limits count by the given clock."""

import pytest

from api import rates
from api.errors import Refusal
from api.rates import FEW_UNKNOWN, Quota, Standing, UnknownLookups


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quota(clock: Clock) -> Quota:
    """Six a minute: one every ten seconds."""
    return Quota("six", 6, clock)


def refused(quota: Quota, caller: str, units: int = 1) -> dict[str, str]:
    with pytest.raises(Refusal) as refusal:
        quota.take(caller, units)
    assert refusal.value.status == 429
    return refusal.value.headers


def test_the_whole_quota_may_be_taken_at_once(quota: Quota) -> None:
    standings = [quota.take("a") for _ in range(6)]
    assert standings == [Standing(5 - used, 10 * (used + 1)) for used in range(6)]


def test_one_more_is_refused_with_the_time_to_wait(quota: Quota) -> None:
    quota.take("a", 6)
    assert refused(quota, "a") == {
        "Retry-After": "10",
        "RateLimit-Policy": '"six";q=6;w=60',
        "RateLimit": '"six";r=0;t=60',
    }
    assert refused(quota, "a", 2)["Retry-After"] == "20"


def test_a_refusal_takes_nothing(quota: Quota, clock: Clock) -> None:
    quota.take("a", 6)
    for _ in range(10):
        refused(quota, "a")
    clock.now += 10
    assert quota.take("a") == Standing(0, 60)


def test_units_come_back_one_by_one(quota: Quota, clock: Clock) -> None:
    quota.take("a", 6)
    clock.now += 9.9
    refused(quota, "a")
    clock.now += 0.1
    quota.take("a")
    refused(quota, "a")
    clock.now += 1000
    assert quota.take("a", 6) == Standing(0, 60)


def test_each_caller_has_a_quota(quota: Quota) -> None:
    quota.take("a", 6)
    assert quota.take("b") == Standing(5, 10)


def test_what_is_owed_counts_beyond_the_quota(quota: Quota, clock: Clock) -> None:
    quota.owe("a", 8)
    with pytest.raises(Refusal):
        quota.require("a")
    clock.now += 20
    with pytest.raises(Refusal):
        quota.require("a")
    clock.now += 10
    quota.require("a")
    assert quota.standing("a") == Standing(1, 50)


def test_a_large_quota_loses_nothing_by_adding_up(clock: Clock) -> None:
    quota = Quota("many", 60_000, clock)
    for _ in range(60_000):
        quota.take("a")
    refused(quota, "a")


def test_only_so_many_callers_are_kept(quota: Quota, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "CALLERS_KEPT_MAX", 2)
    for caller in ("a", "b", "c"):
        quota.take(caller, 6)
    assert [quota.standing(caller).remaining for caller in ("a", "b", "c")] == [6, 0, 0]


def test_merchants_have_few_unknown_lookups_where_all_together_made_too_many(clock: Clock) -> None:
    unknown = UnknownLookups(60, 100, clock)
    for number in range(10):
        unknown.require(f"shop-{number}")
        unknown.owe(f"shop-{number}", 10)
    with pytest.raises(Refusal):
        unknown.require("shop-0")
    for _ in range(FEW_UNKNOWN):
        unknown.require("another")
        unknown.owe("another", 1)
    with pytest.raises(Refusal):
        unknown.require("another")
    clock.now += 6
    unknown.require("shop-0")
