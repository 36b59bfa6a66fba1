"""The supervisor starts in order, brings back what dies, and leaves nothing behind."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from device_ledger.cli import supervisor
from device_ledger.cli.child import LOG_SIZE, Child, ChildEnded
from device_ledger.cli.supervisor import Part, Supervisor

SERVES = """
import os, signal, sys
from pathlib import Path
from device_ledger.tether import watch_supervisor
from device_ledger.ready import ready

name, home = sys.argv[1], Path(os.environ["DEVICE_LEDGER_HOME"])
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

def note(what):
    with (home / what).open("a") as notes:
        notes.write(name + "\\n")

watch_supervisor()
note("started")
with ready(home, name):
    signal.sigwait({signal.SIGTERM})
    note("stopped")
    if name == "stubborn":
        signal.sigwait({signal.SIGUSR1})
"""
FAILS = "import sys; sys.exit('no such thing: it said why')"


def part(home: Path, name: str, *needs: str, script: str = SERVES) -> Part:
    command = [sys.executable, "-c", script, name]
    return Part(Child(name, home, dict(os.environ), command=command), needs)


def notes(home: Path, what: str) -> list[str]:
    return (home / what).read_text().split()


def waiting(_names: list[str]) -> None:
    """Show nothing."""


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def run(parts: list[Part], served: Callable[[], None] = stop) -> list[str]:
    told: list[str] = []
    Supervisor(parts, told.append).run(waiting, served)
    return told


def test_parts_start_after_what_they_need_and_stop_in_reverse(tmp_path: Path) -> None:
    names = ["first", "second", "third"]
    parts = [
        part(tmp_path, "first"),
        part(tmp_path, "second", "first"),
        part(tmp_path, "third", "second"),
    ]
    assert run(parts) == ["Stopping"]
    assert notes(tmp_path, "started") == names
    assert notes(tmp_path, "stopped") == names[::-1]
    assert [each.child.exit_code for each in parts] == [0, 0, 0]


def test_a_need_that_is_no_part_is_no_need(tmp_path: Path) -> None:
    run([part(tmp_path, "only", "of-another-machine")])
    assert notes(tmp_path, "stopped") == ["only"]


def test_a_child_that_dies_comes_back(tmp_path: Path) -> None:
    mortal, other = part(tmp_path, "mortal"), part(tmp_path, "other")

    def kill_it_and_stop_once_it_is_back() -> None:
        pid = mortal.child.pid
        psutil.Process(pid).kill()

        def stop_later() -> None:
            while mortal.child.pid == pid or not mortal.child.is_ready():
                other.child.wait(0.05)
            stop()

        threading.Thread(target=stop_later).start()

    told = run([mortal, other], kill_it_and_stop_once_it_is_back)
    assert told == [
        f"mortal ended with exit code -9, starts again in 0.5 s: see {mortal.child.log}",
        "Stopping",
    ]
    assert notes(tmp_path, "started").count("mortal") == 2
    assert notes(tmp_path, "stopped") == ["other", "mortal"]


def test_a_child_that_dies_too_often_ends_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "DEATHS", 1)
    mortal, other = part(tmp_path, "mortal"), part(tmp_path, "other")
    with pytest.raises(ChildEnded, match="mortal ended with exit code -9"):
        run([mortal, other], lambda: psutil.Process(mortal.child.pid).kill())
    assert notes(tmp_path, "stopped") == ["other"]


def test_a_child_that_fails_to_start_ends_everything_with_its_last_words(tmp_path: Path) -> None:
    parts = [part(tmp_path, "good"), part(tmp_path, "bad", "good", script=FAILS)]
    with pytest.raises(ChildEnded, match="bad ended with exit code 1: no such thing: it said why"):
        run(parts)
    assert notes(tmp_path, "stopped") == ["good"]


def test_a_second_signal_kills_what_does_not_stop(tmp_path: Path) -> None:
    stubborn = part(tmp_path, "stubborn")

    def insist() -> None:
        stop()

        def once_it_was_asked() -> None:
            while not (tmp_path / "stopped").exists():
                stubborn.child.wait(0.05)
            stop()

        threading.Thread(target=once_it_was_asked).start()

    run([stubborn], insist)
    assert stubborn.child.exit_code == -signal.SIGKILL


def test_a_child_stops_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from device_ledger.cli.child import Child\n"
        "child = Child('lonely', Path(sys.argv[1]), dict(os.environ),"
        " command=[sys.executable, '-c', sys.argv[2], 'lonely'])\n"
        "child.start(); child.wait_until_ready(); os.kill(os.getpid(), 9)"
    )
    parent = psutil.Popen([sys.executable, "-c", script, str(tmp_path), SERVES])
    assert parent.wait() == -signal.SIGKILL
    started = tmp_path / "run" / "lonely.ready"
    while started.exists():
        threading.Event().wait(0.05)
    assert notes(tmp_path, "stopped") == ["lonely"]


def test_a_log_that_grew_large_is_put_aside_and_three_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "good.log"
    log.parent.mkdir()
    for number in range(5):
        log.write_bytes(str(number).encode() + bytes(LOG_SIZE))
        run([part(tmp_path, "good")])
    kept = {path.name: path.read_bytes()[:1] for path in log.parent.iterdir()}
    assert kept == {"good.log": b"", "good.log.1": b"4", "good.log.2": b"3", "good.log.3": b"2"}
