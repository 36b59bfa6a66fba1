"""What Kafka and the read models lack of the event store, by what was seen last."""

from dataclasses import dataclass, field

import pytest

from api import backlog
from api.backlog import FINE, LATE_SECONDS, Backlog, Sights
from api.readiness import NotUpError
from device_ledger.ledger.epochs import Epochs
from projections.readers import covers


@dataclass
class Seen:
    """An event store and a relay, with the backlog that looks at them by a clock of its own."""

    heads: dict[int, int] = field(default_factory=dict)
    relayed: int = 0
    now: float = 100.0
    is_away: bool = False

    def __post_init__(self) -> None:
        self.backlog = Backlog(10, self._heads, lambda: self.relayed, lambda: self.now)

    def _heads(self) -> dict[int, int]:
        if self.is_away:
            raise OSError("away")
        return dict(self.heads)

    async def look(self, seconds: float = 1.0, **heads: int) -> None:
        self.now += seconds
        self.heads |= {int(partition[1:]): last for partition, last in heads.items()}
        await self.backlog.look()

    async def problem(self) -> str:
        try:
            await self.backlog.check()
        except NotUpError as error:
            return str(error)
        return ""


async def test_commands_are_taken_until_kafka_lacks_as_many_events_as_it_may() -> None:
    seen = Seen()
    assert (seen.backlog.is_full, seen.backlog.behind) == (False, 0)
    await seen.look(p0=9, p3=4)
    assert (seen.backlog.is_full, seen.backlog.behind) == (False, 9)
    await seen.look(p3=10)
    assert (seen.backlog.is_full, seen.backlog.behind) == (True, 10)
    assert await seen.problem() == "10 events are not on Kafka, 10 may be: commands are refused"
    seen.relayed = 1
    await seen.look()
    assert (seen.backlog.is_full, await seen.problem()) == (False, "")


async def test_a_store_that_is_away_changes_nothing_of_what_was_seen() -> None:
    seen = Seen()
    await seen.look(p0=10)
    seen.is_away = True
    with pytest.raises(OSError, match="away"):
        await seen.look()
    assert seen.backlog.is_full
    assert seen.backlog.age_of({0: 10}) == 1


async def test_the_relay_is_behind_once_it_lacks_an_event_for_some_seconds() -> None:
    seen = Seen(relayed=3)
    await seen.look(p0=3)
    await seen.look(p0=5)
    for _ in range(int(LATE_SECONDS) - 2):
        await seen.look()
        assert await seen.problem() == ""
    await seen.look()
    assert await seen.problem() == "2 events are not on Kafka, the first of them for 10 s"
    seen.relayed = 5
    await seen.look()
    assert await seen.problem() == ""


async def test_a_position_is_as_old_as_the_newest_sight_that_it_covers() -> None:
    seen = Seen()
    assert seen.backlog.age_of({}) == 0
    await seen.look(p0=1)
    await seen.look(seconds=5, p1=2)
    await seen.look(seconds=5, p0=3)
    await seen.look(seconds=5)
    seen.now += 0.9
    ages = [{}, {0: 1}, {0: 1, 1: 2}, {0: 3}, {0: 3, 1: 2}, {0: 9, 1: 9, 2: 9}]
    # What it covers of none is older than the first one, and nothing is known of before.
    assert [seen.backlog.age_of(one) for one in ages] == [15, 15, 10, 15, 0, 0]


def test_of_old_sights_one_a_minute_is_kept_and_none_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backlog, "SIGHTS_MAX", FINE + 100)
    sights = Sights()
    for second in range(10_001):
        sights.see({0: second}, float(second))

    def last_within(second: int) -> float | None:
        return sights.last_within(lambda heads: covers({0: second}, heads))

    seconds = [10_000, 9_402, 9_400, 9_359, 4_000, 3_480, 3_359, 0]
    found = [10_000, 9_402, 9_360, 9_300, 3_960, 3_480, 3_360, 3_360]
    assert list(map(last_within, seconds)) == found


async def test_ids_that_a_restore_has_skipped_are_no_events() -> None:
    epochs = Epochs(3, {1: {0: 90, 1: 100}, 2: {0: (1 << 40) + 8, 1: (1 << 40) + 50}})
    now = (2 << 40) + 4
    seen = Seen(relayed=100)
    seen.backlog = Backlog(
        200, lambda: seen.heads, lambda: seen.relayed, lambda: seen.now, epochs.count_up_to
    )
    await seen.look(p0=now)
    assert (seen.backlog.is_full, seen.backlog.behind) == (False, 54)
    seen.relayed = (1 << 40) + 49
    await seen.look()
    assert seen.backlog.behind == 5
    seen.relayed = now
    await seen.look()
    assert seen.backlog.behind == 0
