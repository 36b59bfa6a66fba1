"""The processes that run replays: what they get, how they end, and what outlives a restart."""

import fcntl
import os
import signal
from pathlib import Path

import orjson
import pytest

from api.security import replay_files, replay_runner
from api.security.replay_files import Replay, Standing
from device_ledger.settings import Settings
from tests.support.installation import Installation, serving
from tests.support.replaying import (
    DAY,
    PATH,
    answer_at_once,
    children,
    come_true,
    look,
    start,
    until,
)


@pytest.fixture
def waits() -> bool:
    """Whether a child waits to be stopped; a test overrides it by ``parametrize``."""
    return False


@pytest.fixture
def _children(monkeypatch: pytest.MonkeyPatch, waits: bool) -> None:
    answer_at_once(monkeypatch, waits=waits, asked=True)


QUICK = pytest.mark.usefixtures("_children")
WAITING = pytest.mark.parametrize("waits", [True])


@QUICK
async def test_a_child_gets_no_key_and_no_store_that_it_does_not_read(
    api: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(f"DEVICE_LEDGER_{name.upper()}", "planted")
    monkeypatch.setenv("DEVICE_LEDGER_SECRETS_DIR", "planted")
    monkeypatch.setenv("PGPASSWORD", "planted")
    monkeypatch.setattr(
        api.services.security.replays,
        "_environment",
        replay_runner._environment(api.settings),
    )
    told = await until(api, (await start(api)).json()["id"], "done")
    assert told["result"]["settings"] == [
        "DEVICE_LEDGER_BROKER_PORT",
        "DEVICE_LEDGER_HOME",
        "DEVICE_LEDGER_SUPERVISOR_FD",
    ]
    assert "planted" not in replay_runner._environment(api.settings).values()


@QUICK
async def test_the_oldest_replays_of_a_bank_are_forgotten(
    api: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_files, "KEPT_MAX", 2)
    others = (await start(api, api.token("security", bank_id="bank-1"))).json()["id"]
    await until(api, others, "done")
    made = []
    for _ in range(3):
        made.append((await start(api)).json()["id"])
        await until(api, made[-1], "done")
    first = api.settings.home / "replays" / made[0]

    async def is_gone() -> bool:
        return not first.exists()

    await come_true(is_gone)
    listed = (await api.client.get(PATH, headers=api.token("security"))).json()["replays"]
    assert [one["id"] for one in listed] == [made[2], made[1], others]


async def test_a_replay_that_cannot_be_made_says_why(api: Installation) -> None:
    told = await until(api, (await start(api)).json()["id"], "failed")
    assert told["reason"] is not None
    assert "\n" not in told["reason"]
    assert str(api.settings.home) not in told["reason"]
    assert told["result"] is None


@WAITING
@QUICK
async def test_what_was_interrupted_is_started_again_and_given_up_at_last(
    tmp_path: Path,
) -> None:
    settings = Settings(home=tmp_path, embedded_issuer=True)
    replay, states = "", []
    for number in range(replay_runner.RUNS_MAX + 1):
        async with serving(settings) as api:
            if number == 0:
                replay = (await start(api)).json()["id"]
            told = await until(api, replay, "running", "failed")
            states.append((told["state"], told["reason"]))
        assert children(tmp_path) == []
    assert states == [("running", None)] * replay_runner.RUNS_MAX + [
        ("failed", f"interrupted {replay_runner.RUNS_MAX} times")
    ]


@QUICK
async def test_a_cancellation_that_another_process_took_holds_after_a_restart(
    tmp_path: Path,
) -> None:
    settings = Settings(home=tmp_path, embedded_issuer=True)
    files = replay_files.ReplayFiles(tmp_path / "replays")
    asked = replay_files.Asked("dev-security", DAY["from"], DAY["from"], DAY["to"], None, ["r"])
    running = files.create(replay_files.new_id(), asked, {"r.yml": "title: r"})
    running = running.become(Standing("running", 1, DAY["from"]))
    running.cancel()
    (tmp_path / "replays" / ".half").mkdir()
    async with serving(settings) as api:
        told = await look(api, running.id)
        assert told["state"] == "cancelled"

        async def has_ended() -> bool:
            return (await look(api, running.id))["endedAt"] is not None

        await come_true(has_ended)
    assert not (tmp_path / "replays" / ".half").exists()


@WAITING
@QUICK
async def test_a_child_that_somebody_kills_is_a_failed_replay(api: Installation) -> None:
    replay = (await start(api)).json()["id"]
    await until(api, replay, "running")

    async def has_begun() -> bool:
        return bool(children(api.settings.home))

    await come_true(has_begun)
    [child] = children(api.settings.home)
    spilled = api.settings.home / "run" / f"replay-{child.pid}"
    spilled.mkdir(parents=True)
    (spilled / "duckdb_temp_storage").write_bytes(b"much")
    os.kill(child.pid, signal.SIGKILL)
    assert (await until(api, replay, "failed"))["result"] is None
    assert not spilled.exists()


@WAITING
@QUICK
async def test_a_replay_that_takes_too_long_is_ended(
    api: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_runner, "RUN_SECONDS_MAX", 0.1)
    replay = (await start(api)).json()["id"]
    told = await until(api, replay, "failed")
    assert (told["reason"], children(api.settings.home)) == (
        "it takes too long: narrow the time or the rules",
        [],
    )


async def test_too_large_a_result_is_told_as_such(
    api: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_runner, "RESULT_BYTES_MAX", 10)
    asked = replay_files.Asked("me", DAY["from"], DAY["from"], DAY["to"], None, ["r"])
    replay = Replay("r", tmp_path, asked, Standing("running", 1))
    replay.run.mkdir()
    (replay.run / "result.json").write_bytes(orjson.dumps({"alerts": ["a"] * 10}))
    ended = replay_runner.outcome_of(replay, 0)
    assert (ended.state, (replay.run / "result.json").exists()) == ("failed", False)
    assert ended.reason is not None
    assert "more alerts than a result may hold" in ended.reason


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("device-ledger: there are no rules to replay\n", "there are no rules to replay"),
        ("Traceback …\nValueError: Could not convert 'customer-1'\n", "it ended by ValueError"),
        ("Killed\n", "it ended by Killed"),
        ("", "it ended by itself"),
    ],
)
async def test_a_failed_replay_tells_nothing_that_was_not_meant_to_be_told(
    tmp_path: Path, stderr: str, reason: str
) -> None:
    asked = replay_files.Asked("me", DAY["from"], DAY["from"], DAY["to"], "bank-1", ["r"])
    replay = Replay("r", tmp_path, asked, Standing("running", 1))
    replay.run.mkdir()
    (replay.run / "stderr").write_text(stderr)
    ended = replay_runner.outcome_of(replay, 1)
    assert (ended.state, ended.reason) == ("failed", reason)


@QUICK
async def test_what_another_process_runs_is_left_to_it(tmp_path: Path) -> None:
    files = replay_files.ReplayFiles(tmp_path / "replays")
    asked = replay_files.Asked("dev-security", DAY["from"], DAY["from"], DAY["to"], None, ["r"])
    theirs = files.create(replay_files.new_id(), asked, {"r.yml": "title: r"})
    theirs = theirs.become(Standing("running", 1, DAY["from"]))
    with (theirs.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        async with serving(Settings(home=tmp_path, embedded_issuer=True)) as api:
            ours = (await start(api)).json()["id"]
            await until(api, ours, "done")
            told = await look(api, theirs.id)
            assert (told["state"], theirs.run.exists()) == ("running", False)


@WAITING
@QUICK
async def test_a_cancellation_that_another_process_takes_ends_the_child(api: Installation) -> None:
    replay = (await start(api)).json()["id"]
    await until(api, replay, "running")
    found = replay_files.ReplayFiles(api.settings.home / "replays").find(replay)
    assert found is not None
    found.cancel()

    async def has_ended() -> bool:
        return (await look(api, replay))["endedAt"] is not None

    await come_true(has_ended)
    assert ((await look(api, replay))["state"], children(api.settings.home)) == ("cancelled", [])
