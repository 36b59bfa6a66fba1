"""A replay from its opening to its end, without Kafka."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from projections.archive.make import write_archive
from projections.archive.tail import Tail
from projections.detection.engine import open_engine
from projections.detection.rules import load_rules
from projections.detector.told import Told
from projections.replay.replaying import Progress, Range
from projections.replay.running import Replay, ReplayError, open_replay
from tests.samples import events
from tests.samples.small_rules import write_rules

WHOLE = Range(events.at(0), events.at(60))


def archive_at(home: Path) -> Path:
    """An archive of five links of a user."""
    write_archive(home / "archive", [events.value_of(events.linked(n)) for n in range(1, 6)])
    return home / "archive"


async def test_an_archive_is_replayed_with_nothing_to_compare(tmp_path: Path) -> None:
    rules = write_rules(tmp_path / "rules")
    spill = tmp_path / "spill"
    async with open_replay(archive_at(tmp_path), [rules], brokers=None, spill=spill) as opened:
        told = (await opened.over(WHOLE, lambda _: None)).told()
    assert told["counts"] == {"new": 1, "gone": 0, "same": 0}
    assert [(one["rule"], one["completedBy"]) for one in told["alerts"]] == [("links", "3")]
    assert not spill.exists()


async def test_it_ends_before_what_was_on_its_way_when_the_topics_were_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing_told(_: str) -> Told:
        return Told()

    monkeypatch.setattr("projections.replay.running.read_told", nothing_told)
    archive, spill = archive_at(tmp_path), tmp_path / "spill"
    rules = load_rules([write_rules(tmp_path / "rules")])
    with open_engine([archive], memory="256MB", threads=1, spill=spill) as engine:
        read_at = datetime.fromisoformat(events.at(10))
        opened = Replay(Tail(engine, archive), rules, "brokers", None, read_at)
        found = await opened.over(WHOLE, _ignore)
    assert (found.asked, found.entries) == (Range(events.at(0), events.at(4)), 3)


async def test_cancelling_interrupts_what_is_running(tmp_path: Path) -> None:
    rules = write_rules(tmp_path / "rules")
    spill = tmp_path / "spill"
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()

    async def run() -> None:
        async with open_replay(archive_at(tmp_path), [rules], brokers=None, spill=spill) as opened:
            await opened.over(WHOLE, lambda _: endless(opened))

    def endless(opened: Replay) -> None:
        loop.call_soon_threadsafe(begun.set)
        opened._tail.trail.connection.execute("SELECT sum(range) FROM range(1000000000000)")

    running = asyncio.create_task(run())
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not spill.exists()


@pytest.mark.parametrize(
    ("rules", "asked", "words"),
    [
        ("rules", WHOLE, "there is no archive yet"),
        ("none", WHOLE, "there are no rules to replay"),
        ("broken", WHOLE, "a.yml: each document is a rule"),
        ("rules", Range(WHOLE.end, WHOLE.start), "there is nothing to replay"),
    ],
)
async def test_what_can_not_be_replayed_is_told_in_a_line(
    tmp_path: Path, rules: str, asked: Range, words: str
) -> None:
    write_rules(tmp_path / "rules")
    write_rules(tmp_path / "broken", a="title: nothing")
    (tmp_path / "none").mkdir()
    archive = tmp_path / "archive" if asked == WHOLE else archive_at(tmp_path)
    with pytest.raises(ReplayError, match=words):
        async with open_replay(
            archive, [tmp_path / rules], brokers=None, spill=tmp_path / "spill"
        ) as opened:
            await opened.over(asked, _ignore)


def _ignore(_: Progress) -> None:
    return
